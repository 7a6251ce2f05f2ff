//! Updates of all parameters in one launch, or a few: Adam and running averages.

use super::launch::{Arg, Grid, MANY, Many, Room, Values, launch_with};
use crate::error::{Error, Result};
use crate::tensor::AdamStep;
use crate::tensor::value::Raw;

/// Blocks for one parameter, at most.
const BLOCKS: u32 = 64;
/// Each parameter begins at a multiple of so many values, as vector loads and cuDNN like it.
const ALIGN: usize = 64;

/// Values, gradients, means and squares of some parameters, and where the new ones go.
struct Plan {
    inputs: Vec<Vec<Values>>,
    at: Vec<usize>,
    total: usize,
}

impl Plan {
    fn new(rows: &[Vec<&Raw>]) -> Result<Self> {
        let mut total = 0;
        let mut at = Vec::with_capacity(rows.len());
        let mut inputs = Vec::with_capacity(rows.len());
        for row in rows {
            let values: Vec<Values> = row.iter().map(|raw| Values::of(raw)).collect::<Result<_>>()?;
            if values.iter().any(|other| other.len != values[0].len || other.dtype != values[0].dtype) {
                return Err(Error::bug("a parameter and its gradient differ in size or type"));
            }
            at.push(total);
            total += values[0].len.next_multiple_of(ALIGN);
            inputs.push(values);
        }
        Ok(Self { inputs, at, total })
    }

    /// Runs `name` over all parameters, into rooms of `total` values.
    fn run(&self, name: &'static str, numbers: &[f64], outputs: &[&Room]) -> Result<()> {
        let first = &self.inputs[0][0];
        let mut args: Vec<Arg> = numbers.iter().map(|number| Arg::Real(*number)).collect();
        args.extend(outputs.iter().map(|room| Arg::At(room.at)));
        for (inputs, at) in self.inputs.chunks(MANY).zip(self.at.chunks(MANY)) {
            let mut many = Many::default();
            for (i, (row, at)) in inputs.iter().zip(at).enumerate() {
                let place = |k: usize| row.get(k).map_or(0, |values: &Values| values.at);
                (many.value[i], many.grad[i], many.mean[i], many.square[i]) = (place(0), place(1), place(2), place(3));
                (many.at[i], many.length[i]) = (*at as u64, row[0].len as u32);
            }
            let longest = inputs.iter().map(|row| row[0].len).max().unwrap_or(1);
            let over = Grid::over(longest);
            let grid = Grid { blocks: [over.blocks[0].min(BLOCKS), inputs.len() as u32], ..over };
            launch_with(&first.gpu, name, first.dtype, grid, Some(&many), &args)?;
        }
        Ok(())
    }

    fn room(&self) -> Result<Room> {
        Room::new(&self.inputs[0][0].gpu, self.inputs[0][0].dtype, self.total)
    }

    /// The parts of `room` that belong to the parameters, in the shapes of `like`.
    fn cut(&self, room: Room, like: &[Vec<&Raw>]) -> Result<Vec<Raw>> {
        let whole = room.finish(&[self.total]);
        let parts = self.at.iter().zip(like).map(|(at, row)| {
            let dims = row[0].dims();
            Ok(whole.narrow(0, *at, row[0].elem_count())?.reshape(dims)?)
        });
        parts.collect()
    }
}

/// One step of Adam for rows of value, gradient, mean and square: the new values, means and squares.
pub(crate) fn adam(rows: &[Vec<&Raw>], step: &AdamStep) -> Result<[Vec<Raw>; 3]> {
    let plan = Plan::new(rows)?;
    let outputs = [plan.room()?, plan.room()?, plan.room()?];
    let [b1, b2] = step.betas;
    let numbers = [step.rate, b1, b2, 1.0 - b1, 1.0 - b2, step.root_scale, step.epsilon];
    plan.run("adam", &numbers, &outputs.each_ref())?;
    let [value, mean, square] = outputs;
    Ok([plan.cut(value, rows)?, plan.cut(mean, rows)?, plan.cut(square, rows)?])
}

/// `old + share * (new - old)` for rows of old and new.
pub(crate) fn blend(rows: &[Vec<&Raw>], share: f64) -> Result<Vec<Raw>> {
    let plan = Plan::new(rows)?;
    let out = plan.room()?;
    plan.run("blend", &[share], &[&out])?;
    plan.cut(out, rows)
}
