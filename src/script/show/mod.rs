//! How each kind of value looks, one file a namespace: on one line, in full for a terminal, and on a page.

mod figure;
mod tensor;

use crate::data::Images;
use crate::error::Result;
use crate::figure::Grid;
use crate::progress::Picture;

/// Images side by side, each made large enough to be seen; about as many across as down for 0 columns.
pub(super) fn grid(images: &Images, columns: usize) -> Result<Picture> {
    let shape = images.shape();
    let (channels, height, width) = (shape.channels, shape.height, shape.width);
    let images = crate::figure::Images { pixels: images.pixels(), channels, height, width };
    crate::figure::grid(&images, &Grid { columns, ..Grid::default() })
}
