//! What Compare GAN does that papers do not, to be switched on where published numbers depend on it.

use crate::options::{Setting, Value};
use crate::table::Row;

/// Which of Compare GAN's ways are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compat {
    /// A conditional norm's gamma is y W, without the 1.
    pub gain_without_one: bool,
    /// A block whose input and output are of one shape has no way around it.
    pub no_identity_skip: bool,
    /// Spectral norms advance in every pass.
    pub spectral_always: bool,
    /// Some layers of networks with spectral norm go without.
    pub spectral_gaps: bool,
    /// The standing variance is the mean of the variances of batches.
    pub standing_within: bool,
}

/// A row of [`COMPATS`].
pub struct CompatRow {
    name: &'static str,
    doc: &'static str,
    switch: fn(&mut Compat) -> &mut bool,
}

impl Row for CompatRow {
    const KIND: &'static str = "compatibility switch";
    fn name(&self) -> &'static str {
        self.name
    }
    fn doc(&self) -> &'static str {
        self.doc
    }
}

/// Every way of Compare GAN's that can be switched on with `compat`; `upsample`, `shortcut_kernel` and `pool` choose its others.
pub const COMPATS: &[CompatRow] = &[
    CompatRow {
        name: "gain_without_one",
        doc: "Conditional batch norm multiplies by y W, not by 1 + y W.\n\n\
              Its gain starts around 0: reported (issue 54 of google/compare_gan) as why BigGAN-deep did not train.",
        switch: |compat| &mut compat.gain_without_one,
    },
    CompatRow {
        name: "no_identity_skip",
        doc: "BigGAN's discriminator has no shortcut around blocks that keep the number of channels.\n\n\
              Elsewhere these have the identity, as in Brock et al. 2018, arXiv:1809.11096.",
        switch: |compat| &mut compat.no_identity_skip,
    },
    CompatRow {
        name: "spectral_always",
        doc: "Spectral norms advance at evaluation and in penalties too.\n\nElsewhere only the passes of training steps move them.",
        switch: |compat| &mut compat.spectral_always,
    },
    CompatRow {
        name: "spectral_gaps",
        doc: "Spectral norm leaves out the layers that Compare GAN leaves out.\n\n\
              The generators of `dcgan`, `sndcgan` and `infogan`; the first and the last layer of those of `resnet_stl`, \
              `resnet5` and `resnet30`; the first convolution of the discriminator of `resnet30`.",
        switch: |compat| &mut compat.spectral_gaps,
    },
    CompatRow {
        name: "standing_within",
        doc: "The standing variance of a batch norm is the mean of the variances of batches.\n\n\
              Elsewhere the variance of the means of batches is added, as it is a part of the variance over all of them.",
        switch: |compat| &mut compat.standing_within,
    },
];

impl Setting for Compat {
    const EXPECTED: &'static str = "a list of `gain_without_one`, `no_identity_skip`, `spectral_always`, \
                                    `spectral_gaps`, `standing_within`, or of `all`";
    fn from_value(value: Value) -> std::result::Result<Self, Value> {
        let mut compat = Compat::default();
        let Value::List(names) = &value else { return Err(value) };
        for name in names {
            match name {
                Value::Text(name) if name == "all" => COMPATS.iter().for_each(|row| *(row.switch)(&mut compat) = true),
                Value::Text(name) => match COMPATS.iter().find(|row| row.name == name) {
                    Some(row) => *(row.switch)(&mut compat) = true,
                    None => return Err(value),
                },
                _ => return Err(value),
            }
        }
        Ok(compat)
    }
    fn to_value(&self) -> Value {
        let mut own = *self;
        let on = COMPATS.iter().filter(|row| *(row.switch)(&mut own));
        Value::List(on.map(|row| Value::Text(row.name.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_switch_is_in_the_table_and_named_where_one_is_expected() {
        let text = |name: &str| Value::Text(name.into());
        let all = Compat::from_value(Value::List(vec![text("all")])).unwrap();
        assert!(
            all.gain_without_one
                && all.no_identity_skip
                && all.spectral_always
                && all.spectral_gaps
                && all.standing_within
        );
        for row in COMPATS {
            let one = Compat::from_value(Value::List(vec![text(row.name)])).unwrap();
            assert_eq!(one.to_value(), Value::List(vec![text(row.name)]));
            assert!(Compat::EXPECTED.contains(&format!("`{}`", row.name)), "{}", row.name);
        }
        assert!(Compat::from_value(Value::List(vec![text("gain")])).is_err());
    }
}
