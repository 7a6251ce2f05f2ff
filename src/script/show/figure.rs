//! Pictures and charts: themselves.

use crate::script::bind::Shown;
use crate::script::display::{Display, Show};

impl Show for Shown {
    const NAME: &'static str = "Picture";

    fn short(&self) -> String {
        format!("a picture of {}x{} pixels", self.picture.width, self.picture.height)
    }

    fn full(&self) -> Display {
        let svg = self.svg.as_ref().map(|svg| svg.to_string());
        Display { svg, ..Display::picture(self.short(), self.name, (*self.picture).clone()) }
    }
}
