//! Pictures one after the other, over and over: as animated PNG, which keeps every pixel, and as GIF.

use crate::error::{Error, Result};
use crate::progress::Picture;

/// Pictures of one size that follow one another without end.
#[derive(Debug, Clone, PartialEq)]
pub struct Animation {
    frames: Vec<Picture>,
    /// Hundredths of a second that each is seen: the unit of GIF.
    delay: u16,
}

impl Animation {
    /// `frames` in a loop that takes `seconds`, as nearly as hundredths of a second for each allow.
    ///
    /// # Errors
    /// There are no frames, or they differ in size; the time is not above zero, or too short or too long for so many.
    pub fn new(frames: Vec<Picture>, seconds: f64) -> Result<Self> {
        let Some(first) = frames.first() else {
            return Err(Error::new("an animation of no frames cannot be shown"));
        };
        if let Some(other) = frames.iter().find(|frame| (frame.width, frame.height) != (first.width, first.height)) {
            return Err(Error::new(format!(
                "the frames of an animation are {}x{} and {}x{} pixels; all must be of one size",
                first.width, first.height, other.width, other.height
            )));
        }
        // Browsers slow down what changes faster than every 0.02 s.
        let delay = (seconds / frames.len() as f64 * 100.0).round();
        if !(2.0..=f64::from(u16::MAX)).contains(&delay) {
            return Err(Error::new(format!("{} frames cannot be shown in {seconds} seconds", frames.len()))
                .help("each frame must be seen for 0.02 to 655 seconds"));
        }
        Ok(Self { frames, delay: delay as u16 })
    }

    /// The pictures in their order.
    pub fn frames(&self) -> &[Picture] {
        &self.frames
    }

    /// The same with each frame made anew.
    #[must_use]
    pub fn map(&self, change: impl Fn(&Picture) -> Picture) -> Self {
        Self { frames: self.frames.iter().map(change).collect(), delay: self.delay }
    }

    /// How long the loop takes.
    pub fn seconds(&self) -> f64 {
        f64::from(self.delay) / 100.0 * self.frames.len() as f64
    }

    /// As animated PNG. A program that knows none shows the first frame.
    ///
    /// # Errors
    /// The frames are too large.
    pub fn png(&self) -> Result<Vec<u8>> {
        let grey = self.frames.iter().all(Picture::is_grey);
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.frames[0].width as u32, self.frames[0].height as u32);
        encoder.set_color(if grey { png::ColorType::Grayscale } else { png::ColorType::Rgb });
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Balanced);
        // Images made of repeated pixels are smallest without a filter.
        encoder.set_filter(png::Filter::NoFilter);
        let written = (|| {
            if self.frames.len() > 1 {
                encoder.set_animated(self.frames.len() as u32, 0)?;
                encoder.set_frame_delay(self.delay, 100)?;
            }
            let mut writer = encoder.write_header()?;
            for frame in &self.frames {
                match grey {
                    true => writer.write_image_data(&frame.grey())?,
                    false => writer.write_image_data(&frame.pixels)?,
                }
            }
            writer.finish()
        })();
        written
            .map_err(|error: png::EncodingError| Error::new(format!("cannot write an animation as PNG: {error}")))?;
        Ok(file)
    }

    /// As GIF. A frame of more than 256 colours keeps the 256 that stand for it best.
    ///
    /// # Errors
    /// A frame is wider or higher than GIF can say, 65 535 pixels.
    pub fn gif(&self) -> Result<Vec<u8>> {
        let side = |pixels: usize| {
            u16::try_from(pixels).map_err(|_| Error::new(format!("a GIF cannot be {pixels} pixels wide or high")))
        };
        let (width, height) = (side(self.frames[0].width)?, side(self.frames[0].height)?);
        let grey = self.frames.iter().all(Picture::is_grey);
        let mut file = Vec::new();
        let written = (|| {
            // The greys are all there are in a picture without colour.
            let greys: Vec<u8> = if grey { (0..=255).flat_map(|level| [level; 3]).collect() } else { Vec::new() };
            let mut encoder = gif::Encoder::new(&mut file, width, height, &greys)?;
            encoder.set_repeat(gif::Repeat::Infinite)?;
            for frame in &self.frames {
                let mut frame = match grey {
                    true => gif::Frame::from_indexed_pixels(width, height, frame.grey(), None),
                    // From 1, the best colours, to 30, the quickest.
                    false => gif::Frame::from_rgb_speed(width, height, &frame.pixels, 10),
                };
                frame.delay = self.delay;
                encoder.write_frame(&frame)?;
            }
            Ok(())
        })();
        written.map_err(|error: gif::EncodingError| Error::new(format!("cannot write a GIF: {error}")))?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(pixels: [u8; 6]) -> Picture {
        Picture { width: 2, height: 1, pixels: pixels.to_vec() }
    }

    fn frames() -> Vec<Picture> {
        vec![frame([1, 2, 3, 4, 5, 6]), frame([9, 8, 7, 6, 5, 4]), frame([0, 0, 0, 255, 255, 255])]
    }

    /// The frames of an animated PNG, read back, with delays and the number of loops.
    fn read(file: &[u8]) -> (Vec<Vec<u8>>, Vec<f64>, u32) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let control = *reader.info().animation_control().unwrap();
        let (mut frames, mut delays) = (Vec::new(), Vec::new());
        for _ in 0..control.num_frames {
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut pixels).unwrap();
            let shown = reader.info().frame_control().unwrap();
            delays.push(f64::from(shown.delay_num) / f64::from(shown.delay_den));
            frames.push(pixels);
        }
        (frames, delays, control.num_plays)
    }

    #[test]
    fn a_png_gives_all_frames_back() {
        let animation = Animation::new(frames(), 1.2).unwrap();
        let (read, delays, plays) = read(&animation.png().unwrap());
        assert_eq!(read, frames().into_iter().map(|frame| frame.pixels).collect::<Vec<_>>());
        assert_eq!((delays, plays), (vec![0.4; 3], 0));
        let grey = Animation::new(vec![frame([7; 6]), frame([9, 9, 9, 0, 0, 0])], 1.0).unwrap();
        assert_eq!(super::tests::read(&grey.png().unwrap()).0, [vec![7, 7], vec![9, 0]]);
    }

    #[test]
    fn a_gif_gives_frames_of_few_colours_back() {
        // Of grey ones all levels there are.
        let levels = |from: u8| Picture {
            width: 256,
            height: 1,
            pixels: (0..=255u8).flat_map(|level| [level.wrapping_add(from); 3]).collect(),
        };
        for frames in [frames(), vec![levels(0), levels(9), levels(100)]] {
            read_back(frames);
        }
    }

    fn read_back(frames: Vec<Picture>) {
        let file = Animation::new(frames.clone(), 1.2).unwrap().gif().unwrap();
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let mut reader = options.read_info(file.as_slice()).unwrap();
        assert_eq!(reader.repeat(), gif::Repeat::Infinite);
        let mut read = Vec::new();
        while let Some(frame) = reader.read_next_frame().unwrap() {
            assert_eq!(frame.delay, 40);
            read.push(frame.buffer.chunks(4).flat_map(|pixel| pixel[..3].to_vec()).collect::<Vec<u8>>());
        }
        assert_eq!(read, frames.into_iter().map(|frame| frame.pixels).collect::<Vec<_>>());
    }

    #[test]
    fn what_cannot_be_shown_is_said() {
        let message = |frames, seconds| Animation::new(frames, seconds).unwrap_err().message;
        assert_eq!(message(vec![], 1.0), "an animation of no frames cannot be shown");
        assert_eq!(message(frames(), 0.01), "3 frames cannot be shown in 0.01 seconds");
        let wide = Picture { width: 1, height: 1, pixels: vec![0; 3] };
        assert!(message(vec![frame([0; 6]), wide], 1.0).starts_with("the frames of an animation are 2x1 and 1x1"));
    }
}
