//! `In[n]` and `Out[n]`: the texts and the values of cells.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rhai::Dynamic;

use crate::error::{Error, Result};
use crate::script::display::Show;

/// The texts and the last values of a session's cells.
#[derive(Clone)]
pub struct Results {
    inputs: Inputs,
    outputs: Outputs,
}

/// The texts of cells, by number.
#[derive(Clone, Default)]
pub(in crate::script) struct Inputs(Arc<Mutex<BTreeMap<usize, String>>>);

/// The last values of cells, by number.
#[derive(Clone)]
pub(in crate::script) struct Outputs {
    most: usize,
    values: Arc<Mutex<VecDeque<(usize, Dynamic)>>>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Results {
    /// Keeps all texts, and the last `most` values.
    pub fn new(most: usize) -> Self {
        Self { inputs: Inputs::default(), outputs: Outputs { most, values: Arc::default() } }
    }

    /// Keeps the text of a cell.
    pub fn input(&self, number: usize, text: &str) {
        held(&self.inputs.0).insert(number, text.to_string());
    }

    /// Keeps the value of a cell.
    pub fn output(&self, number: usize, value: Dynamic) {
        let mut values = held(&self.outputs.values);
        values.retain(|(known, _)| *known != number);
        values.push_back((number, value));
        if values.len() > self.outputs.most {
            values.pop_front();
        }
    }

    /// The variables that scripts reach them by.
    pub fn variables(&self) -> [(&'static str, Dynamic); 2] {
        [("In", Dynamic::from(self.inputs.clone())), ("Out", Dynamic::from(self.outputs.clone()))]
    }
}

impl Show for Inputs {
    const NAME: &'static str = "Inputs";
    fn short(&self) -> String {
        format!("the texts of {} cells", held(&self.0).len())
    }
}

impl Show for Outputs {
    const NAME: &'static str = "Outputs";
    fn short(&self) -> String {
        let values = held(&self.values);
        let numbers: Vec<String> = values.iter().map(|(number, _)| number.to_string()).collect();
        match numbers.as_slice() {
            [] => "no values of cells yet".into(),
            numbers => format!("the values of the cells {}", numbers.join(", ")),
        }
    }
}

impl Inputs {
    /// The text of the cell with this number; a negative one counts from the last.
    ///
    /// # Errors
    /// There was no such cell.
    pub fn at(&self, number: i64) -> Result<String> {
        let inputs = held(&self.0);
        let found = match number {
            ..0 => inputs.values().rev().nth((-1 - number) as usize),
            _ => inputs.get(&(number as usize)),
        };
        found.cloned().ok_or_else(|| missing("In", number).help("no cell with this number was evaluated"))
    }
}

impl Outputs {
    /// The value of the cell with this number; a negative one counts from the last.
    ///
    /// # Errors
    /// The cell gave none, or its value was let go.
    pub fn at(&self, number: i64) -> Result<Dynamic> {
        let values = held(&self.values);
        let found = match number {
            ..0 => values.iter().rev().nth((-1 - number) as usize),
            _ => values.iter().find(|(known, _)| *known == number as usize),
        };
        found.map(|(_, value)| value.clone()).ok_or_else(|| {
            missing("Out", number)
                .help(format!("the last {} values of cells are kept; this cell is older or gave none", self.most))
        })
    }
}

fn missing(name: &str, number: i64) -> Error {
    Error::new(format!("there is no `{name}[{number}]`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_values_are_let_go() {
        let results = Results::new(2);
        let tensor = Arc::new(());
        results.output(1, Dynamic::from(Arc::clone(&tensor)));
        assert_eq!(Arc::strong_count(&tensor), 2);
        for number in 2..5 {
            results.input(number, &format!("cell {number}"));
            results.output(number, Dynamic::from_int(number as i64 * 10));
        }
        assert_eq!(Arc::strong_count(&tensor), 1);
        let value = |number| results.outputs.at(number).unwrap().as_int().unwrap();
        assert_eq!((value(4), value(-2)), (40, 30));
        assert_eq!([2, -1].map(|number| results.inputs.at(number).unwrap()), ["cell 2", "cell 4"]);
        assert_eq!(results.outputs.at(1).unwrap_err().message, "there is no `Out[1]`");
        assert_eq!(results.inputs.at(-9).unwrap_err().message, "there is no `In[-9]`");
    }
}
