//! The methods of "High-Fidelity Image Generation With Fewer Labels", each a few settings.

use crate::gan::TrainOptions;
use crate::gan::options::Labels;
use crate::table::Row;

/// A named set of training options.
pub struct Method {
    /// What a script calls it.
    pub name: &'static str,
    /// Its manual entry.
    pub doc: &'static str,
    /// Changes the default options into the method's.
    pub apply: fn(&mut TrainOptions),
}

impl Row for Method {
    const KIND: &'static str = "method";
    fn name(&self) -> &'static str {
        self.name
    }
    fn doc(&self) -> &'static str {
        self.doc
    }
}

/// Every method, in the order the manual lists them.
pub const METHODS: &[Method] = &[BIGGAN, SINGLE_LABEL, S2GAN, S3GAN];

const BIGGAN: Method = Method {
    name: "biggan",
    doc: "A conditional GAN on the labels that are given; images without one are left out.\n\n\
          Conditional batch norm in the generator, projection in the discriminator, hinge loss.   Brock et al. 2018, arXiv:1809.11096.",
    apply: |_| {},
};

const SINGLE_LABEL: Method = Method {
    name: "single_label",
    doc: "The same GAN with one label for every image: what is left without labels.\n\nLucic et al. 2019, arXiv:1903.02271, section 4.",
    apply: |options| options.labels = Labels::Single,
};

const S2GAN: Method = Method {
    name: "s2gan",
    doc: "A conditional GAN on labels that a semi-supervised labeller inferred.\n\n\
          The same training as `biggan`; give it the labeller's labels.   Lucic et al. 2019, arXiv:1903.02271.",
    apply: |_| {},
};

const S3GAN: Method = Method {
    name: "s3gan",
    doc: "`s2gan` whose discriminator also tells by how many quarter turns an image was turned.\n\n\
          D: adds 1.0 times the rotation loss of real images; G: 0.2 times that of its own.   Lucic et al. 2019, arXiv:1903.02271.",
    apply: |options| options.self_supervision = "rotation".into(),
};
