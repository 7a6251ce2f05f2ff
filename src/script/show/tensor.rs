//! Tensors: what they are, a corner of their values, and images as images.

use crate::data::Images;
use crate::progress::Picture;
use crate::script::display::{self, Display, Show};
use crate::script::page::{self, Page};
use crate::script::show::grid;
use crate::tensor::ops::measure::Summary;
use crate::tensor::ops::pick::Pick;
use crate::tensor::{DType, Tensor, device_name};

/// Values of a tensor that are printed in full.
const FEW: usize = 16;
/// Rows and columns of a corner; of more, the last one is shown after a gap.
const ROWS: usize = 8;
const COLUMNS: usize = 8;
/// Images that are shown of many.
const IMAGES: usize = 32;
/// Pixels of all images together.
const PIXELS: usize = 2_000_000;
/// The least side of what may be an image.
const SIDE: usize = 8;

impl Show for Tensor {
    const NAME: &'static str = "Tensor";

    fn short(&self) -> String {
        if self.elements() <= FEW
            && let Ok(values) = self.to_f64s()
        {
            return format!("tensor({})", nested(&values, self.dims()));
        }
        format!("tensor {:?} {}", self.dims(), self.dtype().as_str())
    }

    fn full(&self) -> Display {
        let summary = self.summary().ok().flatten();
        let what = format!("tensor {:?}", self.dims());
        let mut kind = format!("{} on {}", self.dtype().as_str(), device_name(self.device()));
        if self.tracked() {
            kind.push_str(", tracked for gradients");
        }
        let says = summary.map_or_else(|| nothing(self), |summary| range(self, &summary));
        let head = Page::new().head(&what, &format!("{kind} · {says}"));
        let text = format!("{what} {kind}: {says}");
        let corner = Corner::of(self);
        let text = corner.as_ref().map_or_else(|| text.clone(), |corner| format!("{text}\n{}", corner.text()));
        let page = |page: Page| corner.as_ref().map_or(page.clone(), |corner| corner.on(page));
        match images_of(self, summary.as_ref()) {
            Some((picture, says)) => {
                let folded = head.folded("values", page(Page::new())).line(&says);
                Display::picture(text, "images", picture).on(&folded)
            }
            None => Display::text(text).on(&page(head)),
        }
    }
}

/// What there is to say of a tensor without a finite value.
fn nothing(tensor: &Tensor) -> String {
    if tensor.elements() == 0 { "no values".into() } else { "no value is finite".into() }
}

fn range(tensor: &Tensor, summary: &Summary) -> String {
    let rounded = display::rounded;
    let mut says = match (tensor.elements(), summary.min == summary.max) {
        (1, _) => return rounded(summary.min),
        (_, true) if summary.not_finite == 0 && summary.seen == tensor.elements() => {
            format!("every value is {}", rounded(summary.min))
        }
        _ => {
            format!("from {} to {}, mean {}", rounded(summary.min), rounded(summary.max), rounded(summary.mean))
        }
    };
    match summary.not_finite {
        0 => {}
        1 => says.push_str(", 1 value is not finite"),
        many => says.push_str(&format!(", {many} values are not finite")),
    }
    if summary.seen < tensor.elements() {
        says.push_str(&format!(" (of the first {} values)", page::count(summary.seen)));
    }
    says
}

/// Values in brackets, as a script would write them.
fn nested(values: &[f64], dims: &[usize]) -> String {
    match dims {
        [] => values.first().map_or(String::new(), |value| display::rounded(*value)),
        [_] => format!("[{}]", values.iter().map(|value| display::rounded(*value)).collect::<Vec<_>>().join(", ")),
        [0, ..] => "[]".into(),
        [rows, rest @ ..] => {
            let length = rest.iter().product::<usize>().max(1);
            let rows: Vec<String> = values.chunks(length).take(*rows).map(|row| nested(row, rest)).collect();
            format!("[{}]", rows.join(", "))
        }
    }
}

/// The first values of the first rows, and the last ones.
struct Corner {
    /// `[0, 0]`, where the rows lie inside of more dimensions.
    lead: String,
    /// Whether there are rows at all.
    flat: bool,
    /// The places of the columns; none for a gap.
    columns: Vec<Option<usize>>,
    /// The places of the rows with their values.
    rows: Vec<Option<(usize, Vec<f64>)>>,
}

/// Which of `length` places are shown: all of a few, else the first, a gap, and the last.
fn places(length: usize, most: usize) -> Vec<Option<usize>> {
    if length <= most {
        return (0..length).map(Some).collect();
    }
    (0..most - 2).map(Some).chain([None, Some(length - 1)]).collect()
}

impl Corner {
    /// The corner; none of a tensor with one value or none, which its first line tells.
    fn of(tensor: &Tensor) -> Option<Self> {
        if tensor.elements() < 2 {
            return None;
        }
        let (lead, height, width) = match tensor.dims() {
            [] => return None,
            [width] => (0, 1, *width),
            [lead @ .., height, width] => (lead.len(), *height, *width),
        };
        let (columns, flat) = (places(width, COLUMNS), tensor.rank() == 1);
        let row = |at: usize| -> Option<(usize, Vec<f64>)> {
            let mut picks = vec![Pick::At(0); lead];
            if !flat {
                picks.push(Pick::At(at as i64));
            }
            let part = |from: usize, to: usize| {
                let mut picks = picks.clone();
                picks.push(Pick::Part(from as i64, to as i64));
                tensor.detach().pick(&picks).and_then(|part| part.to_f64s()).ok()
            };
            let head = columns.iter().take_while(|place| place.is_some()).count();
            let mut values = part(0, head)?;
            if head < columns.len() {
                values.extend(part(width - 1, width)?);
            }
            Some((at, values))
        };
        let rows = places(height, ROWS).into_iter().map(|at| at.map(row));
        // A row that cannot be read leaves no corner.
        let rows: Option<Vec<Option<(usize, Vec<f64>)>>> = rows
            .map(|row| match row {
                Some(read) => read.map(Some),
                None => Some(None),
            })
            .collect();
        let lead = if lead > 0 { format!("[{}]", vec!["0"; lead].join(", ")) } else { String::new() };
        Some(Self { lead, flat, columns, rows: rows? })
    }

    /// The values as text, with the gap between them.
    fn cells(&self, values: &[f64], gap: &str) -> Vec<String> {
        let mut values = values.iter();
        let cell = |place: &Option<usize>| match place {
            Some(_) => values.next().map(|value| display::rounded(*value)).unwrap_or_default(),
            None => gap.to_string(),
        };
        self.columns.iter().map(cell).collect()
    }

    fn text(&self) -> String {
        let rows: Vec<Option<Vec<String>>> =
            self.rows.iter().map(|row| row.as_ref().map(|(_, values)| self.cells(values, ".."))).collect();
        let wide = rows.iter().flatten().flatten().map(|cell| cell.chars().count()).max().unwrap_or(0);
        let mut lines: Vec<String> = Vec::new();
        if !self.lead.is_empty() {
            lines.push(format!("  at {}:", self.lead));
        }
        lines.extend(rows.iter().map(|row| match row {
            Some(cells) => {
                let cells = cells.iter().map(|cell| match cell.as_str() {
                    ".." => "..".to_string(),
                    cell => format!("{cell:>wide$}"),
                });
                format!("  {}", cells.collect::<Vec<_>>().join("  "))
            }
            None => format!("  {:>wide$}", ".."),
        }));
        lines.join("\n")
    }

    fn on(&self, page: Page) -> Page {
        let name = |place: &Option<usize>| place.map_or_else(|| "…".to_string(), |place| place.to_string());
        let columns: Vec<String> = self.columns.iter().map(name).collect();
        let rows: Vec<(String, Vec<String>)> = self
            .rows
            .iter()
            .map(|row| match row {
                Some((_, values)) if self.flat => (String::new(), self.cells(values, "…")),
                Some((at, values)) => (at.to_string(), self.cells(values, "…")),
                None => ("⋮".into(), vec!["⋮".into(); self.columns.len()]),
            })
            .collect();
        let page = if self.lead.is_empty() { page } else { page.line(&format!("at {}", self.lead)) };
        page.values(&columns, &rows)
    }
}

/// What the values of images run over: black and white.
fn levels(tensor: &Tensor, summary: &Summary) -> Option<(f64, f64)> {
    let (min, max) = (summary.min, summary.max);
    if summary.not_finite > 0 || min == max {
        return None;
    }
    match tensor.dtype() {
        DType::U8 => Some((0.0, 255.0)),
        DType::U32 | DType::I64 => None,
        _ if min >= -1e-3 && max <= 1.001 => Some((0.0, 1.0)),
        // What a network that ends in tanh makes, but not a weight or a normal draw.
        _ if (-1.001..-0.5).contains(&min) && (0.5..=1.001).contains(&max) => Some((-1.0, 1.0)),
        _ => None,
    }
}

/// A tensor that looks like images, as a picture with the words below it.
fn images_of(tensor: &Tensor, summary: Option<&Summary>) -> Option<(Picture, String)> {
    let (n, channels, height, width) = match tensor.dims() {
        [channels, height, width] => (1, *channels, *height, *width),
        [n, channels, height, width] => (*n, *channels, *height, *width),
        _ => return None,
    };
    if !matches!(channels, 1 | 3) || n == 0 || height < SIDE || width < SIDE || height * width > PIXELS {
        return None;
    }
    let (black, white) = levels(tensor, summary?)?;
    let shown = n.min(IMAGES).min((PIXELS / (height * width)).max(1));
    let picture = || -> crate::Result<Picture> {
        let images = match tensor.rank() {
            3 => tensor.detach().unsqueeze(0)?,
            _ => tensor.detach().narrow(0, 0, shown)?,
        };
        let scale = 1.0 / (white - black);
        grid(&Images::from_tensor(&images.to_dtype(DType::F32)?.affine(scale, -black * scale)?)?, 8)
    };
    let mut says = match (n, shown) {
        (1, _) => "1 image".to_string(),
        (n, shown) if n == shown => format!("{n} images"),
        (n, shown) => format!("the first {shown} of {} images", page::count(n)),
    };
    if black < 0.0 {
        says.push_str(", black at -1 and white at 1");
    }
    picture().ok().map(|picture| (picture, says))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Device;

    fn tensor(values: Vec<f32>, dims: &[usize]) -> Tensor {
        Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
    }

    fn counting(dims: &[usize]) -> Tensor {
        tensor((0..dims.iter().product()).map(|v| v as f32).collect(), dims)
    }

    #[test]
    fn one_value_is_told_once() {
        let shown = tensor(vec![2.5], &[]).full();
        assert_eq!(shown.text, "tensor [] f32 on cpu: 2.5");
        assert!(!shown.html.unwrap().contains("<table"));
        assert_eq!(
            tensor(vec![1.0; 4], &[4]).full().text.lines().next(),
            Some("tensor [4] f32 on cpu: every value is 1")
        );
        assert_eq!(tensor(vec![], &[0]).full().text, "tensor [0] f32 on cpu: no values");
        assert_eq!(tensor(vec![f32::NAN], &[]).full().text, "tensor [] f32 on cpu: no value is finite");
    }

    #[test]
    fn a_corner_shows_the_first_and_the_last() {
        let shown = counting(&[20, 30]).full();
        let lines: Vec<&str> = shown.text.lines().collect();
        assert_eq!(lines[0], "tensor [20, 30] f32 on cpu: from 0 to 599, mean 299.5");
        assert_eq!(lines[1], "    0    1    2    3    4    5  ..   29");
        assert_eq!(lines[7], "   ..");
        assert_eq!(lines[8], "  570  571  572  573  574  575  ..  599");
        let html = shown.html.unwrap();
        assert!(html.contains("<th>5</th><th>…</th><th>29</th>"), "{html}");
        assert!(html.contains("<tr><th>19</th><td>570</td>"), "{html}");
    }

    #[test]
    fn the_rows_of_more_dimensions_say_where_they_lie() {
        let shown = counting(&[2, 3, 2, 2]).track().full();
        assert_eq!(
            shown.text,
            "tensor [2, 3, 2, 2] f32 on cpu, tracked for gradients: from 0 to 23, mean 11.5\n  at [0, 0]:\n  0  1\n  2  3"
        );
        assert!(shown.html.unwrap().contains("at [0, 0]"));
    }

    #[test]
    fn images_are_shown_as_images() {
        let picture = |t: &Tensor| t.full().pictures.first().map(|(_, picture)| (picture.width, picture.height));
        let grey = tensor((0..40 * 64).map(|v| (v % 7) as f32 / 6.0).collect(), &[40, 1, 8, 8]);
        // 32 of the 40, eight across, each made about 64 pixels wide.
        assert_eq!(picture(&grey), Some((8 * 66 - 2, 4 * 66 - 2)));
        let shown = grey.full();
        assert!(shown.html.as_ref().unwrap().contains("the first 32 of 40 images"));
        assert!(shown.bundle().unwrap().contains_key("image/png"));
        assert!(shown.page().unwrap().unwrap().contains("<img src=\"data:image/png;base64,"));
        // One colour image; signed values; bytes.
        let one = tensor((0..192).map(|v| v as f32 / 191.0).collect(), &[3, 8, 8]);
        assert!(picture(&one).is_some() && picture(&one.affine(2.0, -1.0).unwrap()).is_some());
        assert!(picture(&one.affine(255.0, 0.0).unwrap().to_dtype(DType::U8).unwrap()).is_some());
        // Latents, weights, constants, and what is too small or has other channels are none.
        for other in [one.affine(4.0, -2.0), one.affine(0.2, -0.1), one.affine(0.0, 0.5), one.reshape(&[3, 64])] {
            assert_eq!(picture(&other.unwrap()), None);
        }
        assert_eq!(picture(&one.reshape(&[6, 4, 8]).unwrap()), None);
    }

    #[test]
    fn signed_images_have_their_black_at_minus_one() {
        let mut values = vec![-1.0f32; 64];
        values[0] = 1.0;
        let shown = tensor(values, &[1, 1, 8, 8]).full();
        let picture = &shown.pictures[0].1;
        assert_eq!((picture.pixels[0], picture.pixels[picture.pixels.len() - 1]), (255, 0));
    }

    #[test]
    fn a_large_tensor_is_summed_in_part() {
        let t = Tensor::zeros(&[10_000_001], DType::U8, &Device::Cpu).unwrap();
        let text = t.full().text;
        assert!(text.contains("from 0 to 0, mean 0 (of the first 10\u{202f}000\u{202f}000 values)"), "{text}");
    }
}
