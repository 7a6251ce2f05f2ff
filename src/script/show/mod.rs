//! How each kind of value looks, one file a namespace: on one line, in full for a terminal, and on a page.

mod config;
mod data;
mod figure;
mod gan;
mod history;
mod labels;
mod learnt;
mod looking;
mod metric;
mod nn;
mod study;
mod tensor;
mod value;

use crate::data::{Images, Shape};
use crate::error::Result;
use crate::figure::Grid;
use crate::progress::Picture;
use crate::script::display::rounded;
use crate::script::page::Cell;
pub(super) use study::state as study_state;
pub use study::{study_state_text, study_table_text, study_text};
pub(super) use value::{array, map};

/// Images side by side, each made large enough to be seen; about as many across as down for 0 columns.
pub(super) fn grid(images: &Images, columns: usize) -> Result<Picture> {
    let Shape { channels, height, width } = images.shape();
    let images = crate::figure::Images { pixels: images.pixels(), channels, height, width };
    crate::figure::grid(&images, &Grid { columns, ..Grid::default() })
}

/// Page pixels across that an example should have at least, and pixels that it should have at most.
const THUMBNAIL: (usize, usize) = (40, 80);

/// Between two examples, on a light page and on a dark one.
const GAP: [u8; 3] = [128; 3];

/// The images at `indices` in a line, pixel by pixel, for a cell of a table. Of large images only every so many pixels are
/// taken: it is an example, not the image.
fn examples(images: &Images, indices: &[u32]) -> Cell {
    if indices.is_empty() {
        return Cell::Empty;
    }
    let shape = images.shape();
    let every = shape.width.max(shape.height).div_ceil(THUMBNAIL.1);
    let (high, wide) = (shape.height.div_ceil(every), shape.width.div_ceil(every));
    let plane = shape.height * shape.width;
    let mut pixels = Vec::with_capacity(high * indices.len() * (wide + 1) * 3);
    for y in 0..high {
        for (place, index) in indices.iter().enumerate() {
            if place > 0 {
                pixels.extend(GAP);
            }
            let image = images.image(*index as usize);
            for x in 0..wide {
                let at = (y * shape.width + x) * every;
                let channel = |channel: usize| image[channel * plane + at];
                pixels.extend(if shape.channels == 3 { [0, 1, 2].map(channel) } else { [channel(0); 3] });
            }
        }
    }
    let width = indices.len() * (wide + 1) - 1;
    Cell::Picture(Picture { width, height: high, pixels }, width * THUMBNAIL.0.div_ceil(wide).max(1))
}

/// The first `most` images of each class, from the label of each image.
fn firsts(labels: impl Iterator<Item = Option<u32>>, classes: usize, most: usize) -> Vec<Vec<u32>> {
    let mut members = vec![Vec::new(); classes];
    let mut wanted = classes;
    for (index, label) in labels.enumerate() {
        let Some(class) = label.and_then(|label| members.get_mut(label as usize)) else { continue };
        if class.len() < most {
            class.push(index as u32);
            wanted -= usize::from(class.len() == most);
        }
        if wanted == 0 {
            break;
        }
    }
    members
}

#[cfg(test)]
pub(super) mod testing {
    use std::path::Path;

    use crate::progress::Stop;
    use crate::script::session::on_script_thread;
    use crate::script::{Display, Given, Host, Mute, Session, display};

    /// What is shown of the value of a script.
    pub(in crate::script) fn shown(script: &str) -> Display {
        on_script_thread(|| {
            let given = Given { device: "cpu".into(), ..Given::default() };
            let host = Host::new(Box::new(Mute), Stop::default(), given);
            let value = Session::new(host, Path::new("")).cell(script);
            display::full(&value.unwrap_or_else(|error| panic!("{error}")))
        })
        .unwrap()
    }

    /// The MIME types of what is shown.
    pub(super) fn kinds(shown: &Display) -> Vec<String> {
        shown.bundle().unwrap().keys().cloned().collect()
    }
}
