//! Size and time over the number of ports, as SVG: text stays text, so no font is needed here.

use std::ops::Range;

use anyhow::{Result, anyhow};
use plotters::{coord::Shift, prelude::*};

use super::{Curve, Request, Row};
use crate::bench::sweep::Coding;

const SIZE: (u32, u32) = (1200, 600);
/// Height of the legend below the graphs.
const LEGEND: u32 = 76;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Point = (f64, f64);

/// Two graphs side by side, and the legend of both below them.
pub fn draw(rows: &[Row], request: Request) -> Result<String> {
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    let failed = |error| anyhow!("cannot draw: {error}");
    paint(&root, rows, request).map_err(failed)?;
    root.present().map_err(|error| failed(error.to_string()))?;
    drop(root);
    Ok(svg)
}

fn paint(root: &Area<'_>, rows: &[Row], request: Request) -> Result<(), String> {
    root.fill(&WHITE).map_err(|error| error.to_string())?;
    let (graphs, legend) = root.split_vertically(SIZE.1 - LEGEND);
    let asked = match request {
        Request::All => "all ports asked for",
        Request::Host => "20 ports asked for",
    };
    let (left, right) = graphs.split_horizontally(SIZE.0 / 2);
    graph(&left, &format!("Size of the reply, {asked}"), rows, |row| row.bytes as f64, &bytes_label)?;
    let seconds = |row: &Row| row.total().as_secs_f64();
    graph(
        &right,
        &format!("Processor time to build, write and read it, {asked}"),
        rows,
        seconds,
        &time_label,
    )?;
    draw_legend(&legend, rows)
}

fn graph<'a>(
    area: &Area<'a>,
    title: &str,
    rows: &[Row],
    value: impl Fn(&Row) -> f64,
    label: &dyn Fn(&f64) -> String,
) -> Result<(), String> {
    let text = |error: DrawingAreaErrorKind<_>| error.to_string();
    let (x, y) = (decades(rows.iter().map(|row| row.ports as f64)), decades(rows.iter().map(&value)));
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 19))
        .margin(12)
        .margin_right(28)
        .x_label_area_size(42)
        .y_label_area_size(70)
        .build_cartesian_2d(x.log_scale(), y.log_scale())
        .map_err(text)?;
    chart
        .configure_mesh()
        .x_desc("ports in the group")
        .x_label_formatter(&|ports| ports_label(*ports))
        .y_label_formatter(label)
        .label_style(("sans-serif", 14))
        .light_line_style(RGBColor(238, 238, 238))
        .bold_line_style(RGBColor(205, 205, 205))
        .draw()
        .map_err(text)?;
    for curve in Curve::ALL {
        let of_curve = rows.iter().filter(|row| row.curve == curve);
        let points: Vec<Point> = of_curve.map(|row| (row.ports as f64, value(row))).collect();
        let line = LineSeries::new(points.iter().copied(), colour(curve).stroke_width(2));
        chart.draw_series(line).map_err(text)?;
        chart.draw_series(points.into_iter().map(|at| marker(curve, at))).map_err(text)?;
    }
    Ok(())
}

fn draw_legend<'a>(area: &Area<'a>, rows: &[Row]) -> Result<(), String> {
    let text = |error: DrawingAreaErrorKind<_>| error.to_string();
    let present = Curve::ALL.into_iter().filter(|curve| rows.iter().any(|row| row.curve == *curve));
    for curve in present {
        let (column, line) = place(curve);
        let (x, y) = (60 + column * 370, 10 + line * 22);
        let stroke = colour(curve).stroke_width(2);
        area.draw(&PathElement::new([(x, y), (x + 36, y)], stroke)).map_err(text)?;
        area.draw(&marker(curve, (x + 18, y))).map_err(text)?;
        area.draw(&Text::new(name(curve), (x + 46, y - 6), ("sans-serif", 15))).map_err(text)?;
    }
    Ok(())
}

/// Column and line in the legend: one column per call.
const fn place(curve: Curve) -> (i32, i32) {
    match curve {
        Curve::Old(coding) => (0, coding as i32),
        Curve::New(coding) => (1, coding as i32),
        Curve::Lossless => (2, 0),
        Curve::Semantic => (2, 1),
    }
}

const fn name(curve: Curve) -> &'static str {
    match curve {
        Curve::Old(Coding::Json) => "old call (rules_for_devices), JSON",
        Curve::Old(Coding::Msgpack) => "old call, msgpack",
        Curve::Old(Coding::Zstd) => "old call, JSON + zstd -3",
        Curve::New(Coding::Json) => "new call (info_for_devices), JSON",
        Curve::New(Coding::Msgpack) => "new call, msgpack",
        Curve::New(Coding::Zstd) => "new call, JSON + zstd -3",
        Curve::Lossless => "secgroup-rpc, lossless",
        Curve::Semantic => "secgroup-rpc, semantic",
    }
}

/// One hue per call (Okabe and Ito's palette, which colour-blind people can tell apart).
const fn colour(curve: Curve) -> RGBColor {
    match curve {
        Curve::Old(_) => RGBColor(213, 94, 0),
        Curve::New(_) => RGBColor(0, 114, 178),
        Curve::Lossless | Curve::Semantic => RGBColor(0, 158, 115),
    }
}

/// One shape per coding.
fn marker<'a, C: Clone + 'static>(curve: Curve, at: C) -> DynElement<'static, SVGBackend<'a>, C> {
    let colour = colour(curve);
    match curve {
        Curve::Old(Coding::Json) | Curve::New(Coding::Json) | Curve::Lossless => {
            Circle::new(at, 4, colour.filled()).into_dyn()
        }
        Curve::Old(Coding::Msgpack) | Curve::New(Coding::Msgpack) => {
            TriangleMarker::new(at, 5, colour.filled()).into_dyn()
        }
        Curve::Old(Coding::Zstd) | Curve::New(Coding::Zstd) => {
            Cross::new(at, 4, colour.stroke_width(2)).into_dyn()
        }
        Curve::Semantic => Circle::new(at, 4, colour.stroke_width(2)).into_dyn(),
    }
}

/// The powers of ten around `values`.
fn decades(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = values.fold((f64::MAX, f64::MIN_POSITIVE), |(low, high), v| (low.min(v), high.max(v)));
    let floor = low.min(high).log10().floor();
    let ceil = high.log10().ceil().max(floor + 1.0);
    // A hair lower, so that rounding does not lose the lowest label.
    10f64.powf(floor) * (1.0 - 1e-9)..10f64.powf(ceil)
}

/// With a separator from ten thousand on, as in English print.
fn ports_label(ports: f64) -> String {
    if ports >= 0.999e4 { format!("{:.0},000", ports / 1e3) } else { format!("{ports:.0}") }
}

fn bytes_label(bytes: &f64) -> String {
    match *bytes {
        b if b >= 0.999e9 => format!("{:.0} GB", b / 1e9),
        b if b >= 0.999e6 => format!("{:.0} MB", b / 1e6),
        b if b >= 0.999e3 => format!("{:.0} kB", b / 1e3),
        b => format!("{b:.0} B"),
    }
}

fn time_label(seconds: &f64) -> String {
    match *seconds {
        s if s >= 0.999 => format!("{:.0} s", s),
        s if s >= 0.999e-3 => format!("{:.0} ms", s * 1e3),
        s => format!("{:.0} µs", s * 1e6),
    }
}
