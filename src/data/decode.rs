//! The pixels of a part, from whatever its pictures are in: decoded on all cores, into memory or, when there are many,
//! into a file of the [`Store`] that the next one finds.

use image::DynamicImage;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::fit::{Transform, opaque, picture, planes, recolour_bytes};
use super::images::{Images, Shape, hexadecimal};
use super::part::{Part, Raw};
use super::store::{Draft, Store};
use crate::error::{Error, Result, file};
use crate::progress::{Job, Step};

/// More pixels than this many bytes are kept in a file.
pub(super) const LARGE: usize = 32 << 20;
/// Pictures that are decoded together.
const TOGETHER: usize = 256;
/// Fewer when they weigh more than so many bytes before they are decoded.
const WEIGHT: usize = 32 << 20;
/// What the work is called.
const STAGE: &str = "decode";

/// How the pixels of a part are read.
pub(super) struct Decoder<'a> {
    pub transform: Transform,
    /// 1 or 3, if that was asked for; otherwise colours stay, and one picture in colour makes the set colour.
    pub channels: Option<usize>,
    /// Where many pixels are kept; memory if nowhere.
    pub store: Option<Store>,
    /// More than so many bytes are many.
    pub large: usize,
    pub job: &'a Job,
}

/// Where decoded pixels go.
enum Sink {
    Memory(Vec<u8>),
    File(Box<Draft>),
}

/// Why decoding ended early.
enum Halt {
    /// A picture is in colour, the ones before it were grey.
    Colour,
    Error(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Decoder<'_> {
    /// The pixels of `part`, which reports call `name`.
    pub fn images(&self, part: &Part, name: &str) -> Result<Images> {
        if part.n() == 0 {
            return Err(Error::new(format!("`{name}` holds no image")));
        }
        let key = match &self.store {
            Some(_) => {
                let about = format!("{:?} {:?} {}", self.transform, self.channels, part.identity()?);
                hexadecimal(&Sha256::digest(about))
            }
            None => String::new(),
        };
        if let Some(images) = self.store.as_ref().and_then(|store| store.open(&key)) {
            // A stage all the same: a resumed run counts them.
            self.job.observer.begin(STAGE, part.n() as u64, part.n() as u64);
            self.job.observer.end(STAGE, &format!("{name}: kept from an earlier run"));
            return Ok(images);
        }
        let mut begun = false;
        match self.attempt(part, name, &key, self.channels, &mut begun) {
            Ok(images) => Ok(images),
            Err(Halt::Error(error)) => Err(error),
            Err(Halt::Colour) => match self.attempt(part, name, &key, Some(3), &mut begun) {
                Ok(images) => Ok(images),
                Err(Halt::Error(error)) => Err(error),
                Err(Halt::Colour) => Err(Error::bug("a picture in colour surprised a set in colour")),
            },
        }
    }

    fn attempt(
        &self,
        part: &Part,
        name: &str,
        key: &str,
        channels: Option<usize>,
        begun: &mut bool,
    ) -> Result<Images, Halt> {
        let mut state = State { decoder: self, part, name, key, channels, sink: None, first: None, done: 0, begun };
        let mut waiting: Vec<(usize, Raw)> = Vec::new();
        let mut weight = 0;
        let mut halt = None;
        let outcome = part.each(&mut |place, raw| {
            weight += raw.weight();
            waiting.push((place, raw));
            if waiting.len() < TOGETHER && weight < WEIGHT {
                return Ok(());
            }
            weight = 0;
            state.add(std::mem::take(&mut waiting)).map_err(|why| {
                let error = match &why {
                    Halt::Error(error) => error.clone(),
                    Halt::Colour => Error::bug("a picture in colour was not told of"),
                };
                halt = Some(why);
                error
            })
        });
        match halt {
            Some(why) => return Err(why),
            None => outcome?,
        }
        state.add(waiting)?;
        state.finish()
    }

    /// One picture as it will be in the set. `place` is its place among all pictures of the set.
    fn one(&self, place: usize, raw: Raw) -> Result<(Shape, Vec<u8>)> {
        let picture = match raw {
            // What is to stay as it is needs no picture.
            Raw::Planes(shape, pixels) if self.transform.keeps(shape) => return Ok((shape, pixels)),
            Raw::Planes(shape, pixels) => picture(&pixels, shape)?,
            Raw::Made(shape, make) if self.transform.keeps(shape) => return Ok((shape, make())),
            Raw::Made(shape, make) => picture(&make(), shape)?,
            Raw::File(path) => {
                let bytes = std::fs::read(&path).map_err(|error| file(&path, "read", error))?;
                decode(&bytes, &path.display().to_string())?
            }
            Raw::Encoded { bytes, name } => decode(&bytes, &name)?,
        };
        Ok(planes(&self.transform.apply(picture, place as u64)?))
    }
}

/// A PNG or JPEG as a picture with 8 bits a channel. The contents decide: a JPEG called `.png` is read as what it is.
fn decode(bytes: &[u8], name: &str) -> Result<DynamicImage> {
    let fault = |error: image::ImageError| Error::new(format!("cannot read `{name}`: {error}"));
    let format = image::guess_format(bytes).map_err(fault)?;
    Ok(opaque(image::load_from_memory_with_format(bytes, format).map_err(fault)?))
}

/// Decoding that is under way.
struct State<'a, 'b> {
    decoder: &'a Decoder<'b>,
    part: &'a Part,
    name: &'a str,
    key: &'a str,
    channels: Option<usize>,
    sink: Option<Sink>,
    /// The shape of the first picture, which all have.
    first: Option<Shape>,
    done: usize,
    begun: &'a mut bool,
}

impl State<'_, '_> {
    fn add(&mut self, waiting: Vec<(usize, Raw)>) -> Result<(), Halt> {
        let name_of = |raw: &Raw, place: usize| match raw {
            Raw::File(path) => format!("`{}`", path.display()),
            Raw::Encoded { name, .. } => format!("`{name}`"),
            Raw::Planes(..) | Raw::Made(..) => format!("image {place}"),
        };
        let names: Vec<String> = waiting.iter().map(|(place, raw)| name_of(raw, *place)).collect();
        let decoder = self.decoder;
        let all: Vec<Result<(Shape, Vec<u8>)>> =
            waiting.into_par_iter().map(|(place, raw)| decoder.one(place, raw)).collect();
        for (decoded, name) in all.into_iter().zip(names) {
            decoder.job.stop.check()?;
            let (shape, pixels) = decoded?;
            let first = match self.first {
                Some(first) => first,
                None => self.begin(Shape { channels: self.channels.unwrap_or(shape.channels), ..shape })?,
            };
            if (shape.height, shape.width) != (first.height, first.width) {
                return Err(Halt::Error(self.another_size(shape, &name, first)));
            }
            if self.channels.is_none() && shape.channels == 3 && first.channels == 1 {
                return Err(Halt::Colour);
            }
            let pixels = recolour_bytes(pixels, shape, first.channels)?;
            match &mut self.sink {
                Some(Sink::Memory(all)) => all.extend_from_slice(&pixels),
                Some(Sink::File(draft)) => draft.write(&pixels)?,
                None => return Err(Halt::Error(Error::bug("pixels were decoded for nowhere"))),
            }
            self.done += 1;
        }
        if *self.begun && self.done > 0 {
            let (step, of) = (self.done as u64, self.part.n() as u64);
            decoder.job.observer.step(&Step { stage: STAGE, step, of, values: &[] });
        }
        Ok(())
    }

    /// Readies the place for images of `shape`.
    fn begin(&mut self, shape: Shape) -> Result<Shape> {
        let n = self.part.n();
        let large = n.saturating_mul(shape.bytes()) > self.decoder.large;
        if large && !*self.begun {
            *self.begun = true;
            self.decoder.job.observer.begin(STAGE, 0, n as u64);
        }
        self.sink = Some(match &self.decoder.store {
            Some(store) if large => Sink::File(Box::new(store.create(self.key, n, shape)?)),
            _ => Sink::Memory(Vec::with_capacity(n * shape.bytes())),
        });
        self.first = Some(shape);
        Ok(shape)
    }

    fn another_size(&self, shape: Shape, name: &str, first: Shape) -> Error {
        Error::new(format!(
            "{name} is {}x{} pixels, the images before it are {}x{}; all images must be of one size",
            shape.width, shape.height, first.width, first.height
        ))
        .help("`size` brings all of them to one: `#{ size: 32 }`")
    }

    fn finish(self) -> Result<Images, Halt> {
        let Some(shape) = self.first else { return Err(Halt::Error(Error::bug("a part without a picture was read"))) };
        let images = match self.sink {
            Some(Sink::Memory(pixels)) => Images::new(shape, pixels)?,
            Some(Sink::File(draft)) => {
                draft.keep()?;
                let opened = self.decoder.store.as_ref().and_then(|store| store.open(self.key));
                opened.ok_or_else(|| Error::new("the decoded images that were just written cannot be read back"))?
            }
            None => return Err(Halt::Error(Error::bug("pixels were decoded for nowhere"))),
        };
        if *self.begun {
            self.decoder.job.observer.end(STAGE, &format!("{}: {} images of {shape}", self.name, images.n()));
        }
        Ok(images)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::super::fit::{Fit, Scaling};
    use super::super::part::Files;
    use super::*;
    use crate::progress::{Observer, Silent, Stop};

    fn plain() -> Transform {
        Transform { centre: None, size: None, fit: Fit::Middle, scaling: Scaling::Antialias, channels: None, seed: 1 }
    }

    /// `n` PNG files of 8x8, grey but for those that `colour` says.
    fn pictures(n: usize, colour: impl Fn(usize) -> bool) -> (tempfile::TempDir, Part) {
        let folder = tempfile::tempdir().unwrap();
        let write = |place: usize| {
            let path = folder.path().join(format!("{place:04}.png"));
            let level = |x: u32, y: u32| (place as u32 * 31 + x * 7 + y * 3) as u8;
            match colour(place) {
                true => image::RgbImage::from_fn(8, 8, |x, y| image::Rgb([level(x, y), 0, 9])).save(&path).unwrap(),
                false => image::GrayImage::from_fn(8, 8, |x, y| image::Luma([level(x, y)])).save(&path).unwrap(),
            }
            path
        };
        let part = Part::new(Files((0..n).map(write).collect()), vec![None; n]);
        (folder, part)
    }

    fn decoder(store: Option<&Store>, job: &'static Job) -> Decoder<'static> {
        Decoder { transform: plain(), channels: None, store: store.cloned(), large: 4096, job }
    }

    fn job(observer: Arc<dyn Observer>) -> &'static Job {
        Box::leak(Box::new(Job { observer, stop: Stop::default(), keep: false }))
    }

    /// Counts steps and may raise a flag at one of them.
    #[derive(Default)]
    struct Watch {
        steps: AtomicU64,
        ends: AtomicU64,
        stop: Option<Stop>,
    }

    impl Observer for Watch {
        fn step(&self, step: &Step<'_>) {
            self.steps.store(step.step, Ordering::SeqCst);
            if let Some(stop) = &self.stop {
                stop.raise();
            }
        }
        fn end(&self, _: &str, _: &str) {
            self.ends.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn many_pixels_come_from_a_file_with_the_bits_of_memory() {
        let (files, part) = pictures(600, |_| false);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        let watch = Arc::new(Watch::default());
        let mapped = decoder(Some(&store), job(watch.clone())).images(&part, "set").unwrap();
        let memory = decoder(None, job(Arc::new(Silent))).images(&part, "set").unwrap();
        assert!(mapped.is_mapped() && !memory.is_mapped() && mapped == memory);
        assert_eq!((mapped.hash(), mapped.dims()), (memory.hash(), [600, 1, 8, 8]));
        assert_eq!((watch.steps.load(Ordering::SeqCst), watch.ends.load(Ordering::SeqCst)), (600, 1));
        // The next one does not decode, and what is torn is made again.
        let again = decoder(Some(&store), job(watch.clone())).images(&part, "set").unwrap();
        assert_eq!((again == memory, watch.ends.load(Ordering::SeqCst)), (true, 2));
        let path = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        // Another file under the name: those who use the old one keep it.
        let half = std::fs::read(&path).unwrap()[..20_000].to_vec();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, half).unwrap();
        assert!(decoder(Some(&store), job(Arc::new(Silent))).images(&part, "set").unwrap() == memory);
        // A file that is written anew is another set.
        let red = image::GrayImage::from_pixel(8, 8, image::Luma([200]));
        red.save(files.path().join("0003.png")).unwrap();
        let changed = decoder(Some(&store), job(Arc::new(Silent))).images(&part, "set").unwrap();
        assert_eq!((changed.image(3)[0], changed.image(4) == memory.image(4)), (200, true));
    }

    #[test]
    fn few_pixels_stay_in_memory_and_a_late_colour_makes_all_colour() {
        let (_files, part) = pictures(300, |place| place == 280);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        let images = decoder(Some(&store), job(Arc::new(Silent))).images(&part, "set").unwrap();
        assert_eq!(images.dims(), [300, 3, 8, 8]);
        assert_eq!((&images.image(2)[..2], images.image(2)[64], images.image(280)[64]), (&[62u8, 69][..], 62, 0));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let few = part.select((0..10).collect());
        assert!(!decoder(Some(&store), job(Arc::new(Silent))).images(&few, "few").unwrap().is_mapped());
    }

    #[test]
    fn a_person_may_stop_it_and_nothing_is_left() {
        let (_files, part) = pictures(600, |_| false);
        let folder = tempfile::tempdir().unwrap();
        let stop = Stop::default();
        let watch = Arc::new(Watch { stop: Some(stop.clone()), ..Watch::default() });
        let stopped: &'static Job = Box::leak(Box::new(Job { observer: watch.clone(), stop, keep: false }));
        let error = decoder(Some(&Store::at(folder.path())), stopped).images(&part, "set").unwrap_err();
        assert!(error.is_interrupt());
        assert_eq!((watch.steps.load(Ordering::SeqCst), std::fs::read_dir(folder.path()).unwrap().count()), (256, 0));
    }

    #[test]
    fn a_spoilt_picture_is_named() {
        let (files, part) = pictures(3, |_| false);
        std::fs::write(files.path().join("0001.png"), b"no picture").unwrap();
        let error = decoder(None, job(Arc::new(Silent))).images(&part, "set").unwrap_err();
        assert!(error.message.starts_with("cannot read `") && error.message.contains("0001.png`: "), "{error}");
    }
}
