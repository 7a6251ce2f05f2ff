//! Images in Parquet files, in the layout of Hugging Face or a like one.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::basic::{LogicalType, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::part::{Opened, Part, Pictures, Raw, stamp};
use super::source::{AS_IT_IS, Home, Source};
use crate::error::{Error, Result, file};
use crate::table;

pub(super) const PARQUET: Source = Source {
    name: "parquet",
    doc: "Parquet files of images: a column of PNG or JPEG files, and a column of labels if there is one.\n\n\
          `path` is a file, or a folder of files. Those whose names begin with `test` are to test with (else `valid`), \
          those that begin with `train` to train with; without such names, in each class the first 80% of the images are \
          for training. The images are the column of type {bytes, path}, as Hugging Face writes it, or the first of bytes. \
          The labels are the column `label`, or the one that `labels` names: whole numbers from 0, negative or empty where \
          an image has none, or text. What the classes are called is read from Hugging Face's metadata.",
    origin: "the files in `path`",
    licence: "that of the images",
    home: Home::Given("photos.parquet"),
    takes: &["labels"],
    usual: AS_IT_IS,
    open: |path, options| open_set(path, options.labels.as_deref()),
};

/// Rows that are read together.
const ROWS: usize = 64;

/// The Parquet files in `folder`, by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = || -> std::io::Result<Vec<PathBuf>> {
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
    };
    let mut paths = list().map_err(|error| file(folder, "list", error))?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "parquet") && path.is_file());
    paths.sort();
    Ok(paths)
}

/// Those of `paths` that belong to the part called `name`.
fn called(paths: &[PathBuf], name: &str) -> Vec<PathBuf> {
    let is = |path: &&PathBuf| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name));
    paths.iter().filter(is).cloned().collect()
}

/// Whether `folder` holds files to train with and to test with.
pub(super) fn has_parts(folder: &Path) -> bool {
    files(folder).is_ok_and(|paths| ["train", "test"].iter().all(|name| !called(&paths, name).is_empty()))
}

/// The set in a file or a folder; `labels` is a column.
pub(super) fn open_set(path: &Path, labels: Option<&str>) -> Result<Opened> {
    let all = if path.is_dir() { files(path)? } else { vec![path.to_path_buf()] };
    if all.is_empty() {
        return Err(Error::new(format!("`{}` holds no file that ends in `.parquet`", path.display())));
    }
    let train = called(&all, "train");
    let test = ["test", "valid"].iter().map(|name| called(&all, name)).find(|paths| !paths.is_empty());
    let (train, test) = match (train.is_empty(), test) {
        (false, Some(test)) => (train, Some(test)),
        _ => (all, None),
    };
    let mut classes = Classes::default();
    let tables = |paths: &[PathBuf]| paths.iter().map(|path| Table::open(path, labels)).collect::<Result<Vec<_>>>();
    let (train, test) = (tables(&train)?, test.map(|paths| tables(&paths)).transpose()?);
    train.iter().chain(test.iter().flatten()).try_for_each(|table| classes.learn(table))?;
    let names = classes.names();
    let part = |tables: Vec<Table>| Part::chain(tables.into_iter().map(|table| table.part(&names)).collect());
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned());
    Ok(Opened {
        train: part(train),
        test: test.map(part),
        classes: names.clone(),
        origin: path.display().to_string(),
        name,
    })
}

/// What the labels of all files are called.
#[derive(Default)]
struct Classes {
    /// By the metadata.
    given: Option<Vec<String>>,
    /// Labels that are text.
    texts: BTreeSet<String>,
    /// One more than the greatest label that is a number.
    numbers: usize,
}

impl Classes {
    fn learn(&mut self, table: &Table) -> Result<()> {
        if let Some(names) = &table.names {
            match &self.given {
                Some(given) if given != names => {
                    return Err(Error::new(format!(
                        "the classes of `{}` are called otherwise than in the files before it",
                        table.path.display()
                    )));
                }
                _ => self.given = Some(names.clone()),
            }
        }
        match &table.labels {
            Labels::None => {}
            Labels::Numbers(numbers) => {
                let most = numbers.iter().flatten().max().map_or(0, |most| *most as usize + 1);
                self.numbers = self.numbers.max(most);
                if let Some(given) = &self.given
                    && most > given.len()
                {
                    return Err(Error::new(format!(
                        "`{}` has the label {}; there are {} classes, from 0",
                        table.path.display(),
                        most - 1,
                        given.len()
                    )));
                }
                if most > MOST_CLASSES {
                    return Err(Error::new(format!(
                        "`{}` has the label {}; labels are whole numbers from 0 to {}",
                        table.path.display(),
                        most - 1,
                        MOST_CLASSES - 1
                    )));
                }
            }
            Labels::Texts(texts) => self.texts.extend(texts.iter().flatten().cloned()),
        }
        Ok(())
    }

    fn names(&self) -> Vec<String> {
        match &self.given {
            Some(given) => given.clone(),
            None if !self.texts.is_empty() => self.texts.iter().cloned().collect(),
            None => (0..self.numbers).map(|class| class.to_string()).collect(),
        }
    }
}

/// More classes than this are no classes.
const MOST_CLASSES: usize = 1_000_000;

enum Labels {
    None,
    Numbers(Vec<Option<u32>>),
    Texts(Vec<Option<String>>),
}

/// One file.
struct Table {
    path: PathBuf,
    /// The column of the images.
    column: usize,
    rows: usize,
    labels: Labels,
    /// What the labels are called, by the metadata.
    names: Option<Vec<String>>,
}

impl Table {
    fn open(path: &Path, wanted: Option<&str>) -> Result<Self> {
        let reader = reader(path)?;
        let about = reader.metadata().file_metadata();
        let columns = about.schema_descr().columns();
        let name = |column: &ColumnDescriptor| column.path().parts().join(".");
        let bytes = |column: &ColumnDescriptor| {
            column.physical_type() == Physical::BYTE_ARRAY
                && column.max_rep_level() == 0
                && !matches!(column.logical_type_ref(), Some(LogicalType::String))
        };
        let of_images = columns
            .iter()
            .position(|column| column.path().parts().len() == 2 && column.name() == "bytes" && bytes(column))
            .or_else(|| columns.iter().position(|column| column.path().parts().len() == 1 && bytes(column)));
        let Some(of_images) = of_images else {
            let there = columns.iter().map(|column| format!("`{}`", name(column))).collect::<Vec<_>>().join(", ");
            return Err(Error::new(format!("`{}` has no column of images; its columns are {there}", path.display()))
                .help("images are a column of bytes, or of {bytes, path} as Hugging Face writes them"));
        };
        let label = wanted.unwrap_or("label");
        let of_labels = columns.iter().position(|column| name(column) == label);
        if let (Some(wanted), None) = (wanted, of_labels) {
            let names: Vec<String> = columns.iter().map(|column| name(column)).collect();
            return Err(table::unknown("column", wanted, names.iter().map(String::as_str)));
        }
        let rows = about.num_rows().max(0) as usize;
        let names = about.key_value_metadata().into_iter().flatten();
        let names = names.filter(|pair| pair.key == "huggingface").find_map(|pair| {
            let about: serde_json::Value = serde_json::from_str(pair.value.as_deref()?).ok()?;
            let names = about.get("info")?.get("features")?.get(label)?.get("names")?.as_array()?;
            names.iter().map(|name| name.as_str().map(String::from)).collect::<Option<Vec<_>>>()
        });
        let labels = match of_labels {
            None => Labels::None,
            Some(column) => labels(&reader, column, label, path)?,
        };
        let n = match &labels {
            Labels::None => rows,
            Labels::Numbers(labels) => labels.len(),
            Labels::Texts(labels) => labels.len(),
        };
        if n != rows {
            return Err(damaged(path, &format!("it announces {rows} rows and has {n} labels")));
        }
        Ok(Self { path: path.to_path_buf(), column: of_images, rows, labels, names })
    }

    fn part(self, names: &[String]) -> Part {
        let labels = match &self.labels {
            Labels::None => vec![None; self.rows],
            Labels::Numbers(labels) => labels.clone(),
            Labels::Texts(texts) => {
                let place = |text: &String| names.iter().position(|name| name == text).map(|place| place as u32);
                texts.iter().map(|text| text.as_ref().and_then(place)).collect()
            }
        };
        Part::new(Rows { path: self.path, column: self.column }, labels)
    }
}

fn reader(path: &Path) -> Result<SerializedFileReader<File>> {
    let opened = File::open(path).map_err(|error| file(path, "open", error))?;
    guarded(path, || SerializedFileReader::new(opened))
}

/// What `read` gives. The library stops with a panic at some damage, which is a fault of the file and told as one.
fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)) {
        Ok(done) => done.map_err(|error| damaged(path, &error.to_string())),
        Err(_) => Err(damaged(path, "its contents contradict one another")),
    }
}

fn damaged(path: &Path, what: &str) -> Error {
    let what = what.lines().next().unwrap_or_default();
    Error::new(format!("cannot read `{}` as Parquet: {what}", path.display()))
        .help("files packed with Snappy, gzip, Zstandard or not at all are read")
}

/// The values of `column` of `reader`, `ROWS` at a time and in order; nothing where a row is empty.
fn each_value<D: DataType>(
    reader: &SerializedFileReader<File>,
    column: usize,
    path: &Path,
    cast: fn(ColumnReader) -> Option<ColumnReaderImpl<D>>,
    take: &mut dyn FnMut(Option<D::T>) -> Result<()>,
) -> Result<()> {
    for group in 0..reader.num_row_groups() {
        let group = guarded(path, || reader.get_row_group(group))?;
        let optional = group.metadata().column(column).column_descr().max_def_level();
        let opened = guarded(path, || group.get_column_reader(column))?;
        let Some(mut opened) = cast(opened) else {
            return Err(damaged(path, "a column is of another type than the file says"));
        };
        loop {
            let (mut levels, mut values) = (Vec::new(), Vec::new());
            let (rows, _, _) = guarded(path, || opened.read_records(ROWS, Some(&mut levels), None, &mut values))?;
            if rows == 0 {
                break;
            }
            let mut values = values.into_iter();
            for row in 0..rows {
                let there = optional == 0 || levels.get(row) == Some(&optional);
                take(if there { values.next() } else { None })?;
            }
        }
    }
    Ok(())
}

fn labels(reader: &SerializedFileReader<File>, column: usize, name: &str, path: &Path) -> Result<Labels> {
    let described = reader.metadata().file_metadata().schema_descr().column(column);
    let (mut numbers, mut texts) = (Vec::new(), Vec::new());
    // A label beyond any number of classes is told of where classes are counted.
    let number = |value: i64| (value >= 0).then_some(value.min(i64::from(u32::MAX) - 1) as u32);
    match described.physical_type() {
        _ if described.max_rep_level() > 0 => {
            return Err(Error::new(format!("the column `{name}` of `{}` holds lists", path.display()))
                .help("labels are whole numbers or text, one a row"));
        }
        Physical::INT32 => {
            let cast = |reader| if let ColumnReader::Int32ColumnReader(reader) = reader { Some(reader) } else { None };
            each_value(reader, column, path, cast, &mut |value| {
                numbers.push(value.and_then(|value| number(i64::from(value))));
                Ok(())
            })?;
        }
        Physical::INT64 => {
            let cast = |reader| if let ColumnReader::Int64ColumnReader(reader) = reader { Some(reader) } else { None };
            each_value(reader, column, path, cast, &mut |value| {
                numbers.push(value.and_then(number));
                Ok(())
            })?;
        }
        Physical::BYTE_ARRAY => {
            let cast =
                |reader| if let ColumnReader::ByteArrayColumnReader(reader) = reader { Some(reader) } else { None };
            each_value(reader, column, path, cast, &mut |value| {
                texts.push(value.map(|value| String::from_utf8_lossy(value.data()).into_owned()));
                Ok(())
            })?;
            return Ok(Labels::Texts(texts));
        }
        other => {
            return Err(Error::new(format!("the column `{name}` of `{}` is of type {other}", path.display()))
                .help("labels are whole numbers or text"));
        }
    }
    Ok(Labels::Numbers(numbers))
}

/// The images of a file.
struct Rows {
    path: PathBuf,
    column: usize,
}

impl Pictures for Rows {
    fn each(&self, take: &mut dyn FnMut(Raw) -> Result<()>) -> Result<()> {
        let reader = reader(&self.path)?;
        let cast = |reader| if let ColumnReader::ByteArrayColumnReader(reader) = reader { Some(reader) } else { None };
        let mut row = 0usize;
        each_value(&reader, self.column, &self.path, cast, &mut |value| {
            let name = format!("row {row} of {}", self.path.display());
            row += 1;
            match value {
                Some(value) => take(Raw::Encoded { bytes: value.data().to_vec(), name }),
                None => Err(Error::new(format!("{name} has no image"))),
            }
        })
    }

    fn identity(&self) -> Result<String> {
        Ok(format!("{} {}", self.column, stamp(&self.path)?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LoadOptions, Splits, load};
    use super::*;
    use proptest::prelude::*;

    fn golden(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data").join(name)
    }

    fn load_from(path: &Path, labels: Option<&str>) -> Result<Splits> {
        let path = Some(path.display().to_string());
        load("parquet", &LoadOptions { path, labels: labels.map(String::from), ..Default::default() })
    }

    /// A folder of the files of a set.
    fn folder(names: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::copy(golden(name), root.path().join(name)).unwrap();
        }
        root
    }

    const SET: [&str; 3] =
        ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "test-00000-of-00001.parquet"];

    #[test]
    fn the_layout_of_hugging_face_is_read_with_its_names_and_packings() {
        let root = folder(&SET);
        let Splits { train, test } = load_from(root.path(), None).unwrap();
        assert_eq!(train.classes(), ["cat", "dog", "owl"]);
        // Two groups of rows, then another file, with a row that is empty and one that is negative.
        assert_eq!(train.labels(), [Some(2), Some(0), Some(1), None, None]);
        assert_eq!((train.images().dims(), test.truth().unwrap().labels()), ([5, 3, 4, 4], &[1u32, 2][..]));
        let first: Vec<u8> = (0..5).map(|index| train.images().image(index)[0]).collect();
        assert_eq!((first, test.images().image(1)[32]), (vec![0, 10, 20, 30, 40], 112));
        let cifar = LoadOptions { path: Some(root.path().display().to_string()), ..Default::default() };
        assert_eq!(load("cifar10", &cifar).unwrap().train.images(), train.images());
    }

    #[test]
    fn text_is_a_label_and_bytes_alone_are_images() {
        let Splits { train, test } = load_from(&golden("texts.parquet"), None).unwrap();
        assert_eq!(train.classes(), ["a", "b"]);
        assert_eq!((train.labels(), test.labels()), (vec![Some(1), Some(0), None], vec![Some(1), Some(0), None]));
        let bare = load_from(&golden("bytes.parquet"), None).unwrap();
        assert_eq!(
            (bare.train.images().pixels()[0], bare.test.images().pixels()[0], bare.train.classes().len()),
            (5, 6, 0)
        );
        let error = load_from(&golden("texts.parquet"), Some("lable")).unwrap_err();
        assert_eq!(error.message, "there is no column `lable`");
    }

    #[test]
    fn what_is_no_parquet_of_images_is_told() {
        let root = folder(&SET[..1]);
        let path = root.path().join(SET[0]);
        let whole = std::fs::read(&path).unwrap();
        for length in [0, 10, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = load_from(&path, None).unwrap_err();
            assert!(error.message.contains("as Parquet: "), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(load_from(root.path(), None).unwrap_err().message.ends_with("holds no file that ends in `.parquet`"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn whatever_the_bytes_reading_ends(places in prop::collection::vec((0usize..2700, any::<u8>()), 1..4)) {
            let folder = tempfile::tempdir().unwrap();
            for name in SET {
                let mut bytes = std::fs::read(golden(name)).unwrap();
                let length = bytes.len();
                places.iter().for_each(|(place, value)| bytes[place % length] = *value);
                std::fs::write(folder.path().join(name), bytes).unwrap();
            }
            let _ = load_from(folder.path(), None);
        }
    }
}
