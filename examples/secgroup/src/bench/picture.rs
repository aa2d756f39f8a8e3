//! What form a plot takes: SVG as it is drawn, or PNG made of it.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result};
use resvg::{tiny_skia, usvg};

use crate::files::BadInput;

/// Dots of the PNG per unit of the SVG, so that it is sharp on dense screens.
const SCALE: f32 = 2.0;
/// Fonts that are fit for labels, best first; any other is better than none.
const FAMILIES: [&str; 5] = ["DejaVu Sans", "Noto Sans", "Liberation Sans", "Arial", "Helvetica"];

/// The form of a plot, by the end of its file's name.
#[derive(Debug)]
pub enum Format {
    /// Text stays text: whoever shows it has fonts.
    Svg,
    /// Letters become dots: these are the system's fonts.
    Png(usvg::fontdb::Database),
}

impl Format {
    /// The form that `path` asks for.
    ///
    /// # Errors
    /// Another ending than `.svg` and `.png`, or no font for letters in PNG.
    pub fn of(path: &Path) -> Result<Self, BadInput> {
        let cannot = |why: &str| Err(BadInput(format!("cannot draw {}: {why}", path.display())));
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("svg") => Ok(Self::Svg),
            Some("png") => match fonts() {
                Some(fonts) => Ok(Self::Png(fonts)),
                None => cannot("letters in PNG take a font of the system: install one, or write FILE.svg"),
            },
            _ => cannot("name it FILE.svg or FILE.png"),
        }
    }
}

/// The system's fonts, with one of them as the plain one.
fn fonts() -> Option<usvg::fontdb::Database> {
    let mut fonts = usvg::fontdb::Database::new();
    fonts.load_system_fonts();
    let found = |family: &str| fonts.faces().any(|face| face.families.iter().any(|(name, _)| name == family));
    let best = FAMILIES.into_iter().find(|family| found(family)).map(str::to_owned);
    let any = || fonts.faces().find_map(|face| Some(face.families.first()?.0.clone()));
    let plain = best.or_else(any)?;
    fonts.set_sans_serif_family(plain);
    Some(fonts)
}

/// The SVG as PNG.
pub fn png(svg: &str, fonts: usvg::fontdb::Database) -> Result<Vec<u8>> {
    let options = usvg::Options { fontdb: Arc::new(fonts), ..usvg::Options::default() };
    let tree = usvg::Tree::from_str(svg, &options).context("the plot is no SVG")?;
    let size = tree.size().to_int_size().scale_by(SCALE).context("the plot has no size")?;
    let mut dots = tiny_skia::Pixmap::new(size.width(), size.height()).context("the plot is too large")?;
    resvg::render(&tree, tiny_skia::Transform::from_scale(SCALE, SCALE), &mut dots.as_mut());
    dots.encode_png().context("cannot write PNG")
}
