//! What stands for a median.

use plotters::prelude::*;

use super::{Area, Drawn};

pub(crate) struct Mark {
    pub(crate) label: String,
    pub(crate) shape: Shape,
    pub(crate) hollow: bool,
}

#[derive(Clone, Copy)]
pub(crate) enum Shape {
    Circle,
    Square,
    Triangle,
}

impl Mark {
    pub(super) fn draw(
        &self,
        area: &Area<'_>,
        (x, y): (i32, i32),
        colour: RGBColor,
        behind: RGBColor,
    ) -> Drawn {
        let fill = |size: i32, colour: RGBColor| match self.shape {
            Shape::Circle => area.draw(&Circle::new((x, y), size, colour.filled())),
            Shape::Square => {
                let corners = [(x - size, y - size), (x + size, y + size)];
                area.draw(&Rectangle::new(corners, colour.filled()))
            }
            Shape::Triangle => {
                let (base, tip) = (y + size, y - size - 1);
                let corners = vec![(x - size - 1, base), (x, tip), (x + size + 1, base)];
                area.draw(&Polygon::new(corners, colour.filled()))
            }
        };
        fill(5, colour)?;
        match self.shape {
            _ if !self.hollow => Ok(()),
            Shape::Triangle => fill(2, behind),
            _ => fill(3, behind),
        }
    }
}
