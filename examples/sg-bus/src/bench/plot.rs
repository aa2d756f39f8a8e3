//! Bytes of one change over the number of ports, as SVG: text stays text, so no font is needed here.

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::measure::one_change;
use super::neutron_cost::{compact_change, push_change};
use crate::cloud::Cloud;

const SIZE: (u32, u32) = (800, 520);
const PORTS: [u32; 7] = [100, 200, 500, 1000, 2000, 5000, 10_000];

type Points = Vec<(f64, f64)>;

/// Draws what one more member costs all agents, for clouds like `like` of other sizes.
///
/// # Errors
/// If the graph cannot be drawn.
pub fn draw(like: Cloud) -> Result<String> {
    let cost = |of: fn(Cloud) -> f64| -> Points {
        let sizes = PORTS.into_iter().filter(|ports| *ports >= like.hosts);
        sizes.map(|ports| (f64::from(ports), of(Cloud { ports, ..like }))).collect()
    };
    let curves = [
        ("push path", cost(|cloud| push_change(cloud).bytes), RGBColor(200, 90, 30)),
        ("compact call", cost(|cloud| compact_change(cloud).bytes), RGBColor(40, 90, 170)),
        ("ours", cost(|cloud| one_change(cloud).bytes), RGBColor(20, 140, 80)),
    ];
    let mut svg = String::new();
    paint(&mut svg, like, curves).map_err(|error| anyhow!("cannot draw: {error}"))?;
    Ok(svg)
}

fn paint(svg: &mut String, like: Cloud, curves: [(&str, Points, RGBColor); 3]) -> Result<(), String> {
    let text = |error: DrawingAreaErrorKind<_>| error.to_string();
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(text)?;
    let title = format!("One member more: bytes to {} agents, {} groups", like.hosts, like.groups);
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 19))
        .margin(14)
        .x_label_area_size(42)
        .y_label_area_size(76)
        .build_cartesian_2d((90.0..11_000.0).log_scale(), (100.0..1e8).log_scale())
        .map_err(text)?;
    chart
        .configure_mesh()
        .x_desc("ports")
        .x_label_formatter(&|ports| format!("{ports}"))
        .y_label_formatter(&|bytes: &f64| match *bytes {
            ..1e3 => format!("{bytes} B"),
            ..1e6 => format!("{} kB", bytes / 1e3),
            _ => format!("{} MB", bytes / 1e6),
        })
        .label_style(("sans-serif", 14))
        .light_line_style(RGBColor(238, 238, 238))
        .draw()
        .map_err(text)?;
    for (name, points, colour) in curves {
        let dots = points.iter().map(|point| Circle::new(*point, 3, colour.filled()));
        chart.draw_series(dots).map_err(text)?;
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))
            .map_err(text)?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw().map_err(text)?;
    root.present().map_err(text)
}
