//! What a run measures and draws, as TensorBoard's event files.
//!
//! A file is a row of records, each `length u64, crc(length) u32, event, crc(event) u32` in little endian, with TFRecord's
//! masked CRC-32C. An event is a message in protocol buffers: `wall_time` 1, `step` 2, `file_version` 3, `summary` 5, whose
//! values have `tag` 1, `simple_value` 2, `image` 4 (`height` 1, `width` 2, `colourspace` 3, `png` 4).

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Run;
use crate::error::{Error, Result, file};
use crate::figure;
use crate::progress::{Observer, Picture, Step};

/// Watches jobs beside a run and writes into the folder `tensorboard` of the run.
///
/// What cannot be written is told once, by [`Tensorboard::finish`]: a training does not end for it.
pub struct Tensorboard {
    run: Arc<Run>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    file: Option<(PathBuf, File)>,
    failure: Option<Error>,
    /// How often each stage has begun.
    begun: HashMap<String, usize>,
}

impl Tensorboard {
    /// Beside `run`.
    pub fn new(run: Arc<Run>) -> Self {
        Self { run, state: Mutex::default() }
    }

    /// What went wrong with the file, if anything.
    ///
    /// # Errors
    /// The file could not be made or written.
    pub fn finish(&self) -> Result<()> {
        self.held().failure.clone().map_or(Ok(()), Err)
    }

    fn held(&self) -> MutexGuard<'_, State> {
        // A thread that panicked wrote whole records or is told as a failure.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `gan/d_loss`, or `gan (2)/d_loss` when the stage has begun before.
    fn tag(&self, stage: &str, name: &str) -> String {
        match self.held().begun.get(stage) {
            Some(n) if *n > 1 => format!("{stage} ({n})/{name}"),
            _ => format!("{stage}/{name}"),
        }
    }

    fn write(&self, step: u64, values: &[Vec<u8>]) {
        let Some(dir) = self.run.dir() else { return };
        let mut state = self.held();
        if state.failure.is_some() {
            return;
        }
        if let Err(error) = state.append(&dir.join("tensorboard"), step, values) {
            state.failure = Some(error);
        }
    }
}

impl State {
    fn append(&mut self, dir: &Path, step: u64, values: &[Vec<u8>]) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        if self.file.is_none() {
            std::fs::create_dir_all(dir).map_err(|error| file(dir, "make the folder", error))?;
            // A resumed run goes on in a file of its own; TensorBoard reads all that lie in a folder.
            let path = dir.join(format!("events.out.tfevents.{:010}.fewlab.{}", now as u64, std::process::id()));
            let mut opened = File::create(&path).map_err(|error| file(&path, "write", error))?;
            let mut first = double(1, now);
            first.extend(bytes(3, b"brain.Event:2"));
            opened.write_all(&record(&first)).map_err(|error| file(&path, "write", error))?;
            self.file = Some((path, opened));
        }
        let Some((path, opened)) = &mut self.file else { return Ok(()) };
        let summary: Vec<u8> = values.iter().flat_map(|value| bytes(1, value)).collect();
        let mut event = double(1, now);
        event.extend(number(2, step));
        event.extend(bytes(5, &summary));
        opened.write_all(&record(&event)).map_err(|error| file(path, "write", error))
    }
}

impl Observer for Tensorboard {
    fn begin(&self, stage: &str, _from: u64, _of: u64) {
        *self.held().begun.entry(stage.to_string()).or_insert(0) += 1;
    }

    fn step(&self, step: &Step<'_>) {
        let values: Vec<Vec<u8>> =
            step.values.iter().map(|(name, value)| scalar(&self.tag(step.stage, name), *value)).collect();
        self.write(step.step, &values);
    }

    fn value(&self, stage: &str, step: u64, name: &str, value: f64) {
        self.write(step, &[scalar(&self.tag(stage, name), value)]);
    }

    fn picture(&self, stage: &str, step: u64, name: &str, picture: &Picture) {
        match figure::png(picture) {
            Ok(png) => self.write(step, &[image(&self.tag(stage, name), picture, &png)]),
            Err(error) => self.held().failure = Some(error),
        }
    }
}

/// Writes an event file of scalars into the folder `dir`, in the place of one that was written so before: time in seconds since
/// 1970, step, tag, value of each.
///
/// # Errors
/// It cannot be written.
pub(crate) fn write_scalars(dir: &Path, scalars: &[(f64, u64, String, f64)]) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|error| file(dir, "make the folder", error))?;
    let first = scalars.first().map_or(0.0, |scalar| scalar.0);
    let mut event = double(1, first);
    event.extend(bytes(3, b"brain.Event:2"));
    let mut out = record(&event);
    for (time, step, tag, value) in scalars {
        let mut event = double(1, *time);
        event.extend(number(2, *step));
        event.extend(bytes(5, &bytes(1, &scalar(tag, *value))));
        out.extend(record(&event));
    }
    super::replace(&dir.join("events.out.tfevents.0000000000.fewlab"), &out)
}

fn scalar(tag: &str, value: f64) -> Vec<u8> {
    let mut out = bytes(1, tag.as_bytes());
    out.push(2 << 3 | 5);
    out.extend((value as f32).to_le_bytes());
    out
}

fn image(tag: &str, picture: &Picture, png: &[u8]) -> Vec<u8> {
    let mut inner = number(1, picture.height as u64);
    inner.extend(number(2, picture.width as u64));
    // Three colours.
    inner.extend(number(3, 3));
    inner.extend(bytes(4, png));
    let mut out = bytes(1, tag.as_bytes());
    out.extend(bytes(4, &inner));
    out
}

/// A field of a message: a whole number.
fn number(field: u8, value: u64) -> Vec<u8> {
    let mut out = vec![field << 3];
    varint(value, &mut out);
    out
}

/// A field of a message: a number in 64 bits.
fn double(field: u8, value: f64) -> Vec<u8> {
    let mut out = vec![field << 3 | 1];
    out.extend(value.to_le_bytes());
    out
}

/// A field of a message: text, bytes, or a message inside.
fn bytes(field: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![field << 3 | 2];
    varint(value.len() as u64, &mut out);
    out.extend(value);
    out
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// An event in TFRecord's frame.
fn record(event: &[u8]) -> Vec<u8> {
    let length = (event.len() as u64).to_le_bytes();
    let mut out = length.to_vec();
    out.extend(masked(crc32c(&length)).to_le_bytes());
    out.extend(event);
    out.extend(masked(crc32c(event)).to_le_bytes());
    out
}

/// TFRecord turns and shifts its checksums, so that the checksum of data that holds checksums is sound.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Castagnoli's checksum, from the lowest bit up.
fn crc32c(data: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let mut crc = i as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
                bit += 1;
            }
            table[i] = crc;
            i += 1;
        }
        table
    };
    !data.iter().fold(!0, |crc: u32, byte| crc >> 8 ^ TABLE[(crc as u8 ^ byte) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        // RFC 3720, appendix B.4, and the check value of the CRC catalogue.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn a_scalar_is_the_message_that_protocol_buffers_define() {
        assert_eq!(scalar("a", 1.0), [0x0a, 1, b'a', 0x15, 0, 0, 0x80, 0x3f]);
        assert_eq!(number(2, 300), [0x10, 0xac, 0x02]);
    }
}
