//! Labels in Parquet files: the same table as in comma-separated text, a column for each of its columns.

use std::path::Path;
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, FloatType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter, SerializedRowGroupWriter};
use parquet::record::Field;
use parquet::record::reader::RowIter;
use parquet::schema::types::{Type, TypePtr};

use crate::data::Labelled;
use crate::error::{Error, Result};

/// A file that is read row by row.
pub(super) struct Rows {
    name: String,
    /// The names of the columns.
    pub head: Vec<String>,
    rows: RowIter<'static>,
}

impl Rows {
    /// # Errors
    /// The file is not there, or no Parquet.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file = std::fs::File::open(path).map_err(|error| Error::new(format!("cannot read `{name}`: {error}")))?;
        let reader = guarded(&name, || SerializedFileReader::new(file))?;
        let schema = reader.metadata().file_metadata().schema();
        let head = schema.get_fields().iter().map(|field| field.name().to_string()).collect();
        let rows = guarded(&name, || Ok(RowIter::from_file_into(Box::new(reader))))?;
        Ok(Self { name, head, rows })
    }
}

impl Iterator for Rows {
    type Item = Result<Vec<String>>;

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rows) = (&self.name, &mut self.rows);
        let row = match guarded(name, || rows.next().transpose()) {
            Ok(None) => return None,
            Ok(Some(row)) => row,
            Err(error) => return Some(Err(error)),
        };
        Some(row.into_columns().iter().map(|(column, value)| cell(name, column, value)).collect())
    }
}

/// A value as text would have it; nothing where there is none.
fn cell(file: &str, column: &str, value: &Field) -> Result<String> {
    Ok(match value {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        Field::Bytes(bytes) => String::from_utf8_lossy(bytes.data()).into_owned(),
        Field::Byte(v) => v.to_string(),
        Field::Short(v) => v.to_string(),
        Field::Int(v) => v.to_string(),
        Field::Long(v) => v.to_string(),
        Field::UByte(v) => v.to_string(),
        Field::UShort(v) => v.to_string(),
        Field::UInt(v) => v.to_string(),
        Field::ULong(v) => v.to_string(),
        Field::Float16(v) => v.to_string(),
        Field::Float(v) => v.to_string(),
        Field::Double(v) => v.to_string(),
        _ => {
            return Err(Error::new(format!("the column `{column}` of `{file}` holds neither numbers nor text"))
                .help("labels are in a column `label`, or in a column of numbers for each class"));
        }
    })
}

/// What `read` gives. The library stops with a panic at some damage, which is a fault of the file and told as one.
fn guarded<T>(name: &str, read: impl FnOnce() -> std::result::Result<T, ParquetError>) -> Result<T> {
    let damaged = |what: &str| Error::new(format!("cannot read `{name}` as Parquet: {what}"));
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)) {
        Ok(done) => done.map_err(|error| damaged(error.to_string().lines().next().unwrap_or_default())),
        Err(_) => Err(damaged("its contents contradict one another")),
    }
}

/// The file's bytes: `index` and the label of each image, or how likely each class is.
///
/// # Errors
/// The library's.
pub(super) fn write(labelled: &Labelled, label: &dyn Fn(u32) -> String, probs: Option<&[f32]>) -> Result<Vec<u8>> {
    written(labelled, label, probs).map_err(|error| Error::new(format!("cannot write labels as Parquet: {error}")))
}

fn written(
    labelled: &Labelled,
    label: &dyn Fn(u32) -> String,
    probs: Option<&[f32]>,
) -> std::result::Result<Vec<u8>, ParquetError> {
    let column = |name: &str, physical: Physical, repetition: Repetition, logical: Option<LogicalType>| {
        let built = Type::primitive_type_builder(name, physical).with_repetition(repetition).with_logical_type(logical);
        built.build().map(Arc::new)
    };
    let mut fields: Vec<TypePtr> = vec![column("index", Physical::INT64, Repetition::REQUIRED, None)?];
    match probs {
        None => fields.push(column("label", Physical::BYTE_ARRAY, Repetition::OPTIONAL, Some(LogicalType::String))?),
        Some(_) => {
            for class in labelled.classes() {
                fields.push(column(class, Physical::FLOAT, Repetition::REQUIRED, None)?);
            }
        }
    }
    let schema = Type::group_type_builder("labels").with_fields(fields).build()?;
    let mut out = Vec::new();
    let properties = WriterProperties::builder().set_compression(parquet::basic::Compression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(&mut out, Arc::new(schema), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    let indices: Vec<i64> = (0..labelled.n() as i64).collect();
    each(&mut group, |into| into.typed::<Int64Type>().write_batch(&indices, None, None))?;
    match probs {
        None => {
            let given = labelled.labels().iter().flatten();
            let values: Vec<ByteArray> = given.map(|place| label(*place).as_str().into()).collect();
            let levels: Vec<i16> = labelled.labels().iter().map(|label| i16::from(label.is_some())).collect();
            each(&mut group, |into| into.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None))?;
        }
        Some(probs) => {
            let classes = labelled.classes().len();
            for class in 0..classes {
                let values: Vec<f32> = probs.iter().skip(class).step_by(classes).copied().collect();
                each(&mut group, |into| into.typed::<FloatType>().write_batch(&values, None, None))?;
            }
        }
    }
    group.close()?;
    writer.close()?;
    Ok(out)
}

/// Lets `fill` write the next column.
fn each(
    group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>,
    fill: impl FnOnce(&mut SerializedColumnWriter<'_>) -> std::result::Result<usize, ParquetError>,
) -> std::result::Result<(), ParquetError> {
    match group.next_column()? {
        Some(mut into) => {
            fill(&mut into)?;
            into.close()
        }
        None => Err(ParquetError::General("a column too many".into())),
    }
}
