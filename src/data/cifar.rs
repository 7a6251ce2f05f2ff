//! CIFAR-10 and CIFAR-100: photographs of 32x32, as their authors' binary files or as Parquet.

use std::path::Path;

use super::images::Shape;
use super::part::{Opened, Part, Records};
use super::source::{AS_IT_IS, Home, Source, demand, inside, lacking};
use super::{LoadOptions, parquet};
use crate::error::{Error, Result, file};
use crate::table;

pub(super) const CIFAR10: Source = Source {
    name: "cifar10",
    doc: "CIFAR-10: 50,000 photographs to train with and 10,000 to test with, 32x32 in colour, ten classes.\n\n\
          The binary version (`data_batch_1.bin` to `data_batch_5.bin`, `test_batch.bin`) is read, or Parquet in the \
          layout of Hugging Face (`train-*.parquet`, `test-*.parquet`).\n\
          Krizhevsky 2009, \"Learning multiple layers of features from tiny images\".",
    origin: "CIFAR-10, Alex Krizhevsky, Vinod Nair and Geoffrey Hinton",
    licence: "not stated by its authors",
    home: Home::Files { needs: GET_10, is_in: |folder| place(folder, BINARY_10).is_some() },
    takes: &[],
    usual: AS_IT_IS,
    open: open_10,
};

pub(super) const CIFAR100: Source = Source {
    name: "cifar100",
    doc: "CIFAR-100: 50,000 photographs to train with and 10,000 to test with, 32x32 in colour, 100 classes.\n\n\
          `labels: \"coarse\"` gives the 20 classes that these fall into. The binary version (`train.bin`, `test.bin`, \
          `fine_label_names.txt`, `coarse_label_names.txt`) is read, or Parquet in the layout of Hugging Face \
          (`train-*.parquet`, `test-*.parquet`).\n\
          Krizhevsky 2009, \"Learning multiple layers of features from tiny images\".",
    origin: "CIFAR-100, Alex Krizhevsky, Vinod Nair and Geoffrey Hinton",
    licence: "not stated by its authors",
    home: Home::Files { needs: GET_100, is_in: |folder| place(folder, BINARY_100).is_some() },
    takes: &["labels"],
    usual: AS_IT_IS,
    open: open_100,
};

const GET_10: &str = "`cifar-10-binary.tar.gz` from www.cs.toronto.edu/~kriz/cifar.html and unpack it, or the Parquet files of `cifar10`";
const GET_100: &str = "`cifar-100-binary.tar.gz` from www.cs.toronto.edu/~kriz/cifar.html and unpack it, or the Parquet files of `cifar100`";
const BINARY_10: &[&str] = &[
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];
const BINARY_100: &[&str] = &["train.bin", "test.bin", "fine_label_names.txt", "coarse_label_names.txt"];
const CLASSES_10: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
const SHAPE: Shape = Shape { channels: 3, height: 32, width: 32 };

/// The folder in or below `folder` that holds the binary files or Parquet.
fn place(folder: &Path, binary: &[&str]) -> Option<std::path::PathBuf> {
    let within = ["cifar-10-batches-bin", "cifar-100-binary", "data", "plain_text", "cifar10", "cifar100"];
    inside(folder, &within, |folder| lacking(folder, binary.iter().copied()).is_empty() || parquet::has_parts(folder))
}

fn open_10(folder: &Path, _: &LoadOptions) -> Result<Opened> {
    let found = place(folder, BINARY_10).unwrap_or_else(|| folder.to_path_buf());
    if parquet::has_parts(&found) {
        return parquet::open_set(&found, Some("label"));
    }
    demand(&found, BINARY_10, "CIFAR-10", GET_10)?;
    let batch = |name: &&str| batch(&found.join(name), 1, 0, CLASSES_10.len());
    let train = BINARY_10[..5].iter().map(batch).collect::<Result<_>>()?;
    Ok(Opened {
        classes: CLASSES_10.map(String::from).to_vec(),
        train: Part::chain(train),
        test: Some(batch(&BINARY_10[5])?),
        origin: found.display().to_string(),
        name: None,
    })
}

fn open_100(folder: &Path, options: &LoadOptions) -> Result<Opened> {
    let kind = options.labels.as_deref().unwrap_or("fine");
    // A record begins with the coarse label.
    let (at, column) = match kind {
        "coarse" => (0, "coarse_label"),
        "fine" => (1, "fine_label"),
        _ => return Err(table::unknown("kind of label", kind, ["fine", "coarse"])),
    };
    let found = place(folder, BINARY_100).unwrap_or_else(|| folder.to_path_buf());
    if parquet::has_parts(&found) {
        return parquet::open_set(&found, Some(column));
    }
    demand(&found, BINARY_100, "CIFAR-100", GET_100)?;
    let names = found.join(format!("{kind}_label_names.txt"));
    let text = std::fs::read_to_string(&names).map_err(|error| file(&names, "read", error))?;
    let classes: Vec<String> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(String::from).collect();
    Ok(Opened {
        train: batch(&found.join("train.bin"), 2, at, classes.len())?,
        test: Some(batch(&found.join("test.bin"), 2, at, classes.len())?),
        classes,
        origin: found.display().to_string(),
        name: None,
    })
}

/// A file of records that begin with `before` bytes of labels, of which the one `at` is meant.
fn batch(path: &Path, before: usize, at: usize, classes: usize) -> Result<Part> {
    let records = Records { path: path.to_path_buf(), before, shape: SHAPE, by_column: false };
    let mut labels = Vec::new();
    records.records(&mut |bytes, _| {
        let label = u32::from(bytes[at]);
        if label as usize >= classes {
            return Err(Error::new(format!(
                "label {label} of image {} of `{}` is out of range; there are {classes} classes, from 0",
                labels.len(),
                path.display()
            )));
        }
        labels.push(Some(label));
        Ok(())
    })?;
    Ok(Part::new(records, labels))
}

#[cfg(test)]
mod tests {
    use super::super::{Splits, load};
    use super::*;
    use ::parquet::data_type::{ByteArrayType, Int64Type};
    use ::parquet::file::properties::WriterProperties;
    use ::parquet::file::writer::SerializedFileWriter;
    use std::sync::Arc;

    /// A record: labels, then red of 10, green of 20, blue of 30, all more by `plus`, and one pixel of its own.
    fn record(labels: &[u8], plus: u8) -> Vec<u8> {
        let mut bytes = labels.to_vec();
        [10, 20, 30].iter().for_each(|colour| bytes.extend([colour + plus; 1024]));
        // The second pixel of the first row, green.
        bytes[labels.len() + 1024 + 1] = 255;
        bytes
    }

    fn ten() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("cifar-10-batches-bin");
        std::fs::create_dir(&folder).unwrap();
        for (place, name) in BINARY_10.iter().enumerate() {
            let place = place as u8;
            std::fs::write(folder.join(name), [record(&[place], place), record(&[9], 100)].concat()).unwrap();
        }
        root
    }

    fn load_from(name: &str, folder: &Path, labels: Option<&str>) -> Result<Splits> {
        let options = LoadOptions {
            path: Some(folder.display().to_string()),
            labels: labels.map(String::from),
            ..Default::default()
        };
        load(name, &options)
    }

    #[test]
    fn five_batches_follow_one_another() {
        let root = ten();
        let Splits { train, test } = load_from("cifar10", root.path(), None).unwrap();
        assert_eq!((train.images().dims(), test.n()), ([10, 3, 32, 32], 2));
        assert_eq!(train.truth().unwrap().labels(), [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]);
        assert_eq!(test.truth().unwrap().labels(), [5, 9]);
        let third = train.images().image(4);
        assert_eq!((third[0], third[1024], third[1025], third[2048]), (12, 22, 255, 32));
    }

    #[test]
    fn faults_of_the_files_are_said() {
        let root = ten();
        let batch = root.path().join("cifar-10-batches-bin/data_batch_2.bin");
        std::fs::write(&batch, &record(&[1], 0)[..3000]).unwrap();
        let error = load_from("cifar10", root.path(), None).unwrap_err();
        assert!(error.message.contains("data_batch_2.bin` holds 3000 bytes, which is no whole number"), "{error}");
        std::fs::write(&batch, record(&[10], 0)).unwrap();
        let error = load_from("cifar10", root.path(), None).unwrap_err();
        assert!(error.message.starts_with("label 10 of image 0 of `"), "{error}");
        std::fs::remove_file(&batch).unwrap();
        let error = load_from("cifar10", &root.path().join("cifar-10-batches-bin"), None).unwrap_err();
        assert!(error.message.starts_with("the file `data_batch_2.bin` of CIFAR-10 is not in `"), "{error}");
        assert!(error.help.unwrap().contains("www.cs.toronto.edu/~kriz/cifar.html"));
        assert_eq!(
            load_from("cifar10", root.path(), Some("fine")).unwrap_err().message,
            "the data set `cifar10` takes no `labels`"
        );
    }

    #[test]
    fn a_hundred_classes_fall_into_twenty() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: Vec<u8>| std::fs::write(root.path().join(name), bytes).unwrap();
        write("train.bin", [record(&[1, 2], 0), record(&[0, 1], 1)].concat());
        write("test.bin", record(&[1, 0], 0));
        write("fine_label_names.txt", b"apple\nbear\ncup\n\n".to_vec());
        write("coarse_label_names.txt", b"fruit\nother\n".to_vec());
        let fine = load_from("cifar100", root.path(), None).unwrap().train;
        assert_eq!(
            (fine.classes(), fine.truth().unwrap().labels()),
            (&["apple", "bear", "cup"].map(String::from)[..], &[2u32, 1][..])
        );
        assert_eq!(fine.images().image(1)[0], 11);
        let coarse = load_from("cifar100", root.path(), Some("coarse")).unwrap().train;
        assert_eq!((coarse.classes().len(), coarse.truth().unwrap().labels()), (2, &[1u32, 0][..]));
        let error = load_from("cifar100", root.path(), Some("middling")).unwrap_err();
        assert_eq!(error.message, "there is no kind of label `middling`");
    }

    #[test]
    fn classes_are_called_and_counted_as_their_authors_do() {
        let train = load_from("cifar10", ten().path(), None).unwrap().train;
        assert_eq!(train.classes().join(" "), "airplane automobile bird cat deer dog frog horse ship truck");
    }

    /// A file in the layout of Hugging Face's `cifar100`: a black image with both of its labels.
    fn both(fine: i64, coarse: i64) -> Vec<u8> {
        let schema = "message schema { required group img { required binary bytes; } required int64 fine_label; \
                      required int64 coarse_label; }";
        let schema = ::parquet::schema::parser::parse_message_type(schema).unwrap();
        let mut png = std::io::Cursor::new(Vec::new());
        image::RgbImage::new(32, 32).write_to(&mut png, image::ImageFormat::Png).unwrap();
        let (mut out, properties) = (Vec::new(), WriterProperties::builder().build());
        let mut writer = SerializedFileWriter::new(&mut out, Arc::new(schema), Arc::new(properties)).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&[png.into_inner().into()], None, None).unwrap();
        column.close().unwrap();
        for label in [fine, coarse] {
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<Int64Type>().write_batch(&[label], None, None).unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
        writer.close().unwrap();
        out
    }

    #[test]
    fn the_labels_asked_for_are_those_of_their_own_column() {
        let root = tempfile::tempdir().unwrap();
        for (name, fine, coarse) in [("train-0.parquet", 7, 2), ("test-0.parquet", 4, 1)] {
            std::fs::write(root.path().join(name), both(fine, coarse)).unwrap();
        }
        for (labels, train, test) in [(None, 7, 4), (Some("fine"), 7, 4), (Some("coarse"), 2, 1)] {
            let splits = load_from("cifar100", root.path(), labels).unwrap();
            assert_eq!(
                (splits.train.labels(), splits.test.labels()),
                (vec![Some(train)], vec![Some(test)]),
                "{labels:?}"
            );
        }
    }
}
