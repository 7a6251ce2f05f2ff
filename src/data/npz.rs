//! Arrays of images in a file of NumPy's.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::LoadOptions;
use super::images::Shape;
use super::npy::{Archive, Header, Kind, fill};
use super::part::{Opened, Part, Pictures, Raw, stamp};
use super::source::{AS_IT_IS, Home, Source};
use crate::error::{Error, Result};

pub(super) const NPZ: Source = Source {
    name: "npz",
    doc: "Arrays in an `.npz` file of NumPy: `images` and, if there are any, `labels`.\n\n\
          `path` is the file. `images` is [n, height, width], [n, height, width, channels] or, if its last side is neither \
          1 nor 3, [n, channels, height, width]: bytes, or numbers from 0 to 1. `labels` is [n], whole numbers from 0, \
          negative where an image has none; `classes`, text, says what they are called. `test_images` and `test_labels` are \
          to test with; without them, in each class the first 80% of the images are for training. `x_train`, `y_train`, \
          `x_test`, `y_test` are read as well.",
    origin: "the file `path`",
    licence: "that of the images",
    home: Home::Given("photos.npz"),
    takes: &[],
    usual: AS_IT_IS,
    open,
};

/// What the images and the labels may be called: to train with, and to test with.
const TRAIN: [(&str, &str); 3] = [("images", "labels"), ("train_images", "train_labels"), ("x_train", "y_train")];
const TEST: [(&str, &str); 2] = [("test_images", "test_labels"), ("x_test", "y_test")];

fn open(path: &Path, _: &LoadOptions) -> Result<Opened> {
    let mut archive = Archive::open(path)?;
    let names = archive.names();
    let has = |name: &str| names.iter().any(|there| there == name);
    let Some(train) = TRAIN.into_iter().find(|(images, _)| has(images)) else {
        let there = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        return Err(Error::new(format!(
            "`{}` has no array `images`; the arrays in it are {}",
            path.display(),
            if names.is_empty() { "none" } else { &there }
        )));
    };
    let test = TEST.into_iter().find(|(images, _)| has(images));
    let mut read = |(images, labels): (&str, &str)| part(&mut archive, path, images, has(labels).then_some(labels));
    let (train, test) = (read(train)?, test.map(read).transpose()?);
    let labels = train.labels().into_iter().chain(test.iter().flat_map(Part::labels)).flatten();
    let most = labels.max().map_or(0, |most| most as usize + 1);
    let classes = match has("classes") {
        true => archive.texts("classes")?,
        false => (0..most).map(|class| class.to_string()).collect(),
    };
    if most > classes.len() {
        return Err(Error::new(format!(
            "`{}` has the label {}; there are {} classes, from 0",
            path.display(),
            most - 1,
            classes.len()
        )));
    }
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned());
    Ok(Opened { classes, train, test, origin: path.display().to_string(), name })
}

fn part(archive: &mut Archive<'_>, path: &Path, images: &str, labels: Option<&str>) -> Result<Part> {
    let layout = archive_layout(archive, path, images)?;
    let n = layout.n;
    let labels = match labels {
        None => vec![None; n],
        Some(name) => {
            let (dims, values) = archive.whole_numbers(name)?;
            if !matches!(dims[..], [rows] | [rows, 1] if rows == n) {
                return Err(Error::new(format!(
                    "`{name}` of `{}` is {dims:?}, `{images}` has {n} images; it must be [{n}]",
                    path.display()
                )));
            }
            // A label beyond any number of classes is one beyond the number there are, and told of as such.
            values.into_iter().map(|value| (value >= 0).then_some(value.min(1 << 24) as u32)).collect()
        }
    };
    Ok(Part::new(Arrays { path: path.to_path_buf(), name: images.to_string(), layout }, labels))
}

/// How the values of an array are images.
#[derive(Clone, Copy)]
struct Layout {
    n: usize,
    shape: Shape,
    /// Whether the channels of a pixel stand together.
    channels_last: bool,
    kind: Kind,
}

/// Reads no more than the header, so that a large array is not unpacked twice.
fn archive_layout(archive: &mut Archive<'_>, path: &Path, name: &str) -> Result<Layout> {
    let mut found = None;
    // The rest of the array is passed over on purpose; that it was not read is no fault.
    let looked = archive.with(name, |header, _| -> Result<()> {
        found = Some(header);
        Err(Error::new(""))
    });
    match (found, looked) {
        (Some(header), _) => layout(&header, path, name),
        (None, Err(error)) => Err(error),
        (None, Ok(())) => Err(Error::bug("an array without a header was read")),
    }
}

fn layout(header: &Header, path: &Path, name: &str) -> Result<Layout> {
    let fault = |what: &str| {
        Error::new(format!("`{name}` of `{}` is {:?}{what}", path.display(), header.dims)).help(
            "images are [n, height, width], [n, height, width, channels] or [n, channels, height, width] with 1 or 3 channels",
        )
    };
    let kind = match header.kind {
        Kind::Int { bytes: 1, sign: false } | Kind::Float { .. } => header.kind,
        _ => return Err(fault(" and holds neither bytes nor numbers from 0 to 1")),
    };
    let (n, channels, height, width, channels_last) = match header.dims[..] {
        [n, height, width] => (n, 1, height, width, true),
        [n, height, width, channels @ (1 | 3)] => (n, channels, height, width, true),
        [n, channels @ (1 | 3), height, width] => (n, channels, height, width, false),
        _ => return Err(fault("")),
    };
    if height == 0 || width == 0 {
        return Err(fault(""));
    }
    Ok(Layout { n, shape: Shape { channels, height, width }, channels_last, kind })
}

struct Arrays {
    path: PathBuf,
    name: String,
    layout: Layout,
}

impl Arrays {
    fn pixels(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let Layout { shape, channels_last, kind, .. } = self.layout;
        let level = |value: f64| match (0.0..=1.0).contains(&value) {
            true => Ok((255.0 * value).round() as u8),
            false => Err(Error::new(format!(
                "`{}` of `{}` holds the value {value}; numbers must lie between 0 and 1",
                self.name,
                self.path.display()
            ))),
        };
        let values: Vec<u8> = match kind {
            Kind::Float { bytes: 4 } => bytes
                .chunks_exact(4)
                .map(|b| level(f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))))
                .collect::<Result<_>>()?,
            Kind::Float { .. } => bytes
                .chunks_exact(8)
                .map(|b| level(f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])))
                .collect::<Result<_>>()?,
            _ => bytes.to_vec(),
        };
        if !channels_last || shape.channels == 1 {
            return Ok(values);
        }
        Ok((0..shape.channels)
            .flat_map(|channel| values.iter().skip(channel).step_by(shape.channels).copied())
            .collect())
    }
}

impl Pictures for Arrays {
    fn each(&self, take: &mut dyn FnMut(Raw) -> Result<()>) -> Result<()> {
        Archive::open(&self.path)?.with(&self.name, |_, reader: &mut dyn Read| {
            let mut bytes = vec![0; self.layout.shape.bytes() * self.layout.kind.width()];
            for _ in 0..self.layout.n {
                fill(reader, &mut bytes, &self.path, &self.name)?;
                take(Raw::Planes(self.layout.shape, self.pixels(&bytes)?))?;
            }
            Ok(())
        })
    }

    fn identity(&self) -> Result<String> {
        Ok(format!("{} {}", self.name, stamp(&self.path)?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Splits, load};
    use super::*;
    use proptest::prelude::*;

    fn golden(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data").join(name)
    }

    fn load_from(path: &Path) -> Result<Splits> {
        load("npz", &LoadOptions { path: Some(path.display().to_string()), ..Default::default() })
    }

    /// What the script made of an image: 40 * image + 10 * channel + 4 * row + column.
    fn expected(image: u8) -> Vec<u8> {
        (0..24u8).map(|place| 40 * image + 10 * (place / 8) + place % 8).collect()
    }

    #[test]
    fn arrays_of_numpy_become_images_labels_and_classes() {
        let Splits { train, test } = load_from(&golden("plain.npz")).unwrap();
        assert_eq!((train.name(), train.images().shape()), ("plain/train", Shape { channels: 3, height: 2, width: 4 }));
        assert_eq!(train.classes(), ["cat", "größer"]);
        // Of classes 1 0 - 1 0 a second one of each is to test with; a lone image without a label cannot be cut.
        assert_eq!((train.labels(), test.labels()), (vec![Some(1), Some(0), None], vec![Some(1), Some(0)]));
        assert_eq!((train.images().image(1), test.images().image(1)), (&expected(1)[..], &expected(4)[..]));
    }

    #[test]
    fn packed_numbers_from_0_to_1_and_the_names_of_keras_are_read_too() {
        let Splits { train, test } = load_from(&golden("packed.npz")).unwrap();
        assert_eq!(train.labels(), [Some(1), Some(0), None, Some(1), Some(0)]);
        assert_eq!((train.images().image(4), test.images().image(1)), (&expected(4)[..], &expected(1)[..]));
        assert_eq!(test.truth().unwrap().labels(), [0, 1]);
        let grey = load_from(&golden("grey.npz")).unwrap();
        assert_eq!((grey.train.images().dims(), grey.train.classes().len()), ([4, 1, 2, 4], 0));
        assert_eq!(grey.test.images().pixels(), &expected(4)[..8]);
    }

    #[test]
    fn what_is_no_image_is_told() {
        let message = |name: &str| load_from(&golden(name)).unwrap_err().message;
        assert!(message("columns.npz").ends_with("it lies column by column; `numpy.ascontiguousarray` turns it"));
        assert!(message("wide.npz").contains("holds the value 10; numbers must lie between 0 and 1"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npz");
        let whole = std::fs::read(golden("packed.npz")).unwrap();
        for length in [0, 50, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(load_from(&path).unwrap_err().message.contains("is no whole `.npz` file"));
        }
        // One bit of the packed values.
        let mut spoilt = std::fs::read(golden("plain.npz")).unwrap();
        spoilt[200] ^= 1;
        std::fs::write(&path, spoilt).unwrap();
        assert!(load_from(&path).unwrap_err().message.contains("the checksum of `images` is another one"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_the_bytes_reading_ends(places in prop::collection::vec((0usize..1200, any::<u8>()), 1..4)) {
            let folder = tempfile::tempdir().unwrap();
            for name in ["packed.npz", "plain.npz"] {
                let mut bytes = std::fs::read(golden(name)).unwrap();
                let length = bytes.len();
                places.iter().for_each(|(place, value)| bytes[place % length] = *value);
                std::fs::write(folder.path().join(name), bytes).unwrap();
                let _ = load_from(&folder.path().join(name));
            }
        }
    }

    #[test]
    fn numbers_become_the_nearest_of_256_levels() {
        let shape = Shape { channels: 1, height: 1, width: 3 };
        for kind in [Kind::Float { bytes: 4 }, Kind::Float { bytes: 8 }] {
            let arrays = Arrays {
                path: "x.npz".into(),
                name: "images".into(),
                layout: Layout { n: 1, shape, channels_last: true, kind },
            };
            let bytes = [100.4f32, 100.6, 255.0].map(|level| level / 255.0).map(|value| match kind.width() {
                4 => value.to_le_bytes().to_vec(),
                _ => f64::from(value).to_le_bytes().to_vec(),
            });
            assert_eq!(arrays.pixels(&bytes.concat()).unwrap(), [100, 101, 255]);
        }
    }
}
