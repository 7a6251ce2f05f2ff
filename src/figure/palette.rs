//! The colours of every figure: few, and told apart by colour-blind eyes (Okabe & Ito 2008).

/// What a shape is painted with. A picture on white takes the colour named here; a page may give each its own
/// colour through the class, which is how one chart serves light and dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    /// Titles, names, numbers that matter.
    Strong,
    /// Axis numbers and labels.
    Soft,
    /// Grid lines and frames.
    Faint,
    /// What lies behind, and text on a dark cell.
    Paper,
    /// The colour of the series with this index; they repeat after the tenth.
    Series(usize),
}

/// Blue, vermilion, green, purple, amber, sky, grey; indigo, olive and wine for a tenth class.
const SERIES: [[u8; 3]; 10] = [
    [0, 103, 172],
    [213, 94, 0],
    [0, 138, 103],
    [176, 84, 137],
    [201, 134, 0],
    [66, 159, 214],
    [104, 104, 110],
    [74, 58, 160],
    [120, 126, 20],
    [136, 24, 60],
];

impl Ink {
    /// The class a page styles.
    pub(crate) fn class(self) -> String {
        match self {
            Ink::Strong => "ink-strong".into(),
            Ink::Soft => "ink-soft".into(),
            Ink::Faint => "ink-faint".into(),
            Ink::Paper => "ink-paper".into(),
            Ink::Series(i) => format!("ink-{}", i % SERIES.len()),
        }
    }

    /// The ink of this colour on white paper; strong for one that no ink has.
    pub(crate) fn named(rgb: [u8; 3]) -> Self {
        [Ink::Soft, Ink::Faint, Ink::Paper]
            .into_iter()
            .chain((0..SERIES.len()).map(Ink::Series))
            .find(|ink| ink.rgb() == rgb)
            .unwrap_or(Ink::Strong)
    }

    /// Red, green, blue on white paper.
    pub(crate) fn rgb(self) -> [u8; 3] {
        match self {
            Ink::Strong => [28, 30, 36],
            Ink::Soft => [100, 104, 114],
            Ink::Faint => [225, 227, 232],
            Ink::Paper => [255, 255, 255],
            Ink::Series(i) => SERIES[i % SERIES.len()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ink_is_known_by_its_colour() {
        let all =
            [Ink::Strong, Ink::Soft, Ink::Faint, Ink::Paper].into_iter().chain((0..SERIES.len()).map(Ink::Series));
        all.for_each(|ink| assert_eq!(Ink::named(ink.rgb()), ink));
        assert_eq!(Ink::named([1, 2, 3]), Ink::Strong);
    }
}
