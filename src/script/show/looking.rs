//! What one looks at a GAN with: animations, directions, judged images, points in a plane.

use crate::gan::Judged;
use crate::script::bind::{Found, Moving};
use crate::script::display::{Display, Show};
use crate::script::embedded::Embedded;
use crate::script::page::{self, Page};
use crate::script::show::{grid, rounded};

impl Show for Moving {
    const NAME: &'static str = "Animation";

    fn short(&self) -> String {
        let frames = self.animation.frames();
        let (width, height) = frames.first().map_or((0, 0), |frame| (frame.width, frame.height));
        let seconds = rounded(self.animation.seconds());
        format!("an animation of {} pictures of {width}x{height} pixels in {seconds} s", frames.len())
    }

    fn full(&self) -> Display {
        Display::animation(self.short(), self.name, self.animation.clone())
    }
}

impl Show for Found {
    const NAME: &'static str = "Directions";

    fn short(&self) -> String {
        let values: Vec<String> = self.directions.values.iter().map(|value| rounded(*value)).collect();
        let what = if values.len() == 1 { "direction" } else { "directions" };
        format!("{} {what} with eigenvalues {}", values.len(), values.join(", "))
    }

    fn full(&self) -> Display {
        Display::picture(self.short(), "directions", (*self.picture.picture).clone())
    }
}

/// Images of each kind that are shown.
const EXTREMES: usize = 12;

impl Show for Judged {
    const NAME: &'static str = "Judged";

    fn short(&self) -> String {
        let ends = self.logits.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
        format!(
            "{} judged images, logits from {} to {}, mean {}; {} above 0",
            page::count(self.logits.len()),
            rounded(ends.0.into()),
            rounded(ends.1.into()),
            rounded(self.mean()),
            page::percent(self.share_real())
        )
    }

    fn full(&self) -> Display {
        let mut display = Display::text(self.short());
        for (name, worst) in [("most-real", false), ("least-real", true)] {
            let picture = self.extremes(EXTREMES, worst).and_then(|images| grid(&images, 0));
            display.pictures.extend(picture.map(|picture| (name.to_string(), picture)));
        }
        let numbers = [
            (rounded(self.mean()), "is the mean logit"),
            (page::percent(self.share_real()), "of the images have a logit above 0"),
        ];
        let head = format!("{} images", page::count(self.logits.len()));
        display.on(&Page::new().head("judged by the discriminator", &head).numbers(numbers))
    }
}

impl Show for Embedded {
    const NAME: &'static str = "Embedding";

    fn short(&self) -> String {
        let said = self.said();
        let rest = if said.is_empty() { said } else { format!(", {said}") };
        format!("{} points by {}{rest}", page::count(self.points.len()), self.method)
    }

    fn full(&self) -> Display {
        let chart = self.plot(&[], &[], &[], "").and_then(|chart| Display::chart(self.short(), "embedding", &chart));
        chart.unwrap_or_else(|_| Display::text(self.short()))
    }
}

#[cfg(test)]
mod tests {
    use crate::script::show::testing::{kinds, shown};

    const TINY: &str = "let small = data::load(\"fashion-mnist-10k\").train.take(64);
        let options = #{ steps: 1, batch: 8, generator: \"sndcgan\", discriminator: \"sndcgan\", g_channels: 16, \
        d_channels: 16, standing_batches: 1 }; let gan = gan::train(small, options);";

    #[test]
    fn a_walk_moves_and_says_how_long() {
        let walk = shown(&format!("{TINY} gan.walk(#{{ frames: 4, seconds: 2, columns: 3 }})"));
        assert_eq!(walk.text, "an animation of 4 pictures of 197x113 pixels in 2 s");
        assert_eq!(kinds(&walk), ["text/plain", "image/png"]);
        let moving = walk.moving.unwrap();
        let frames = moving.frames();
        assert!(frames[0] != frames[2], "it moves");
        // The same seed walks the same way.
        let again = shown(&format!("{TINY} gan.walk(#{{ frames: 4, seconds: 2, columns: 3 }})"));
        assert_eq!(again.moving.unwrap(), moving);
    }

    #[test]
    fn judged_images_show_both_ends() {
        let judged = shown(&format!("{TINY} gan.scores(small)"));
        assert!(judged.text.starts_with("64 judged images, logits from "), "{}", judged.text);
        let names: Vec<&str> = judged.pictures.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["most-real", "least-real"]);
        assert_eq!(kinds(&judged), ["text/plain", "text/html"]);
    }

    #[test]
    fn directions_and_points_are_pictures() {
        let directions = shown(&format!("{TINY} gan.directions(2, #{{ columns: 3 }})"));
        assert!(directions.text.starts_with("2 directions with eigenvalues "), "{}", directions.text);
        assert_eq!(kinds(&directions), ["text/plain", "image/png"]);
        let points = shown("embed::pca(tensor::from([[0, 0], [3, 4], [6, 8]]))");
        assert_eq!(points.text, "3 points by PCA, 100% and 0.0% of the variance");
        assert_eq!(kinds(&points), ["text/plain", "image/svg+xml", "image/png"]);
    }

    #[test]
    fn what_has_no_classes_or_cut_latents_is_looked_at_as_well() {
        let gan = |own: &str| {
            format!(
                "let small = data::load(\"fashion-mnist-10k\").train.take(64);
                let gan = gan::train(small, gan::method(\"single_label\") + #{{ steps: 1, batch: 8, g_channels: 8, \
                d_channels: 8, z_dim: 12, standing_batches: 1, {own} }});"
            )
        };
        for own in ["z: \"uniform\"", "hierarchical_z: true, g_norm: \"conditional_batch_norm\""] {
            let shown = |call: &str| shown(&format!("{} {call}", gan(own)));
            assert_eq!(shown("gan.sample(3, #{ truncation: 0.5 }).z.shape").text, "[3, 12]");
            assert_eq!(shown("gan.interpolate(#{ rows: 2, columns: 3 }).width").text, "172");
            assert!(
                shown("gan.walk(#{ frames: 2, seconds: 1 })").text.starts_with("an animation of 2 pictures of 346x56")
            );
            assert_eq!(shown("gan.directions(2, #{ columns: 2 }).vectors.shape").text, "[2, 12]");
            assert_eq!(shown("gan.scores(small.images[0..4]).logits.shape").text, "[4]");
            assert_eq!(
                shown("let said = \"\"; try { gan.interpolate(#{ class: \"Bag\" }); } catch (e) { said = e.message; } said").text,
                "the GAN was trained without classes, and was asked for `Bag`"
            );
        }
        assert_eq!(
            shown(&format!(
                "{} let said = \"\"; try {{ gan.sample(3, #{{ truncation: 1 }}); }} catch (e) {{ said = e.message; }} said",
                gan("z: \"uniform\"")
            ))
            .text,
            "`truncation` is 1, and the latents lie between -1 and 1"
        );
    }
}
