//! A chart of spreads: contenders below each other, and for each of their points a mark at the median and a
//! line from the least to the most.
//!
//! Sizes are in pixels, for a column of text and for phones.

mod axis;
mod mark;
mod palette;

use std::{io, ops::Range};

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use self::axis::Scale;
pub(crate) use self::{
    axis::Axis,
    mark::{Mark, Shape},
    palette::{DARK, Family, LIGHT, Palette},
};
use crate::{number, results::Spread};

const WIDTH: i32 = 640;
const PADDING: i32 = 16;
/// Where contenders' names end.
const NAMES: i32 = 222;
/// Where points begin and end.
const LEFT: i32 = NAMES + 10;
const RIGHT: i32 = WIDTH - PADDING;
const LINE: i32 = 22;
/// From one point to the next one, and between contenders.
const STEP: i32 = 13;
const GAP: i32 = 12;
/// What is below the points: numbers, and what they are.
const FOOT: i32 = 52;

const SPREAD: &str =
    "Medians, with lines from the least to the most of all rounds. Less is better.";
const FONT: &str = "Helvetica, Arial, sans-serif";
const TITLE: f64 = 17.0;
const TEXT: f64 = 14.0;
/// Nobody measures texts here: a letter rarely takes more.
const LETTER: i32 = 8;

pub(crate) struct Chart {
    /// The file's, without what comes after the dot.
    pub(crate) name: &'static str,
    pub(crate) title: String,
    /// What marks are told apart by, or what else one must know.
    pub(crate) note: Option<String>,
    pub(crate) axis: Axis,
    /// What each contender's points are.
    pub(crate) marks: Vec<Mark>,
    pub(crate) groups: Vec<Group>,
}

/// One contender's points, in the order of the marks.
pub(crate) struct Group {
    pub(crate) contender: String,
    pub(crate) points: Vec<Option<Spread>>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<io::Error>>;

impl Chart {
    pub(crate) fn file(&self, palette: &Palette) -> String {
        format!("{}{}.svg", self.name, palette.suffix)
    }

    /// What it shows, for those who do not see it.
    pub(crate) fn alt(&self) -> String {
        format!("{}, in {}", self.title, self.axis.title())
    }

    pub(crate) fn svg(&self, palette: &Palette) -> io::Result<String> {
        let mut svg = String::new();
        let size = (WIDTH.unsigned_abs(), (self.bottom() + FOOT + PADDING / 2).unsigned_abs());
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        self.draw(&area, palette).map_err(io::Error::other)?;
        drop(area);
        Ok(svg)
    }

    fn draw(&self, area: &Area<'_>, palette: &Palette) -> Drawn {
        area.fill(&palette.background)?;
        let title = text(TITLE, palette.text, HPos::Left, FontStyle::Bold);
        area.draw(&Text::new(&*self.title, (PADDING, PADDING + LINE / 2), title))?;
        let style = text(TEXT, palette.text, HPos::Left, FontStyle::Normal);
        for (line, note) in (1..).zip(self.notes()) {
            let middle = PADDING + LINE * line + LINE / 2;
            area.draw(&Text::new(note, (PADDING, middle), style.clone()))?;
        }
        self.draw_legend(area, palette)?;
        self.draw_names(area, palette)?;
        let spreads = self.groups.iter().flat_map(|group| group.points.iter().flatten());
        let scale = self.axis.scale(spreads, LEFT..RIGHT);
        self.draw_axis(area, palette, &scale)?;
        self.draw_points(area, palette, &scale)?;
        area.present()
    }

    fn draw_legend(&self, area: &Area<'_>, palette: &Palette) -> Drawn {
        let style = text(TEXT, palette.text, HPos::Left, FontStyle::Normal);
        for (mark, (x, y)) in self.legend() {
            mark.draw(area, (x + 6, y), palette.text, palette.background)?;
            area.draw(&Text::new(&*mark.label, (x + 16, y), style.clone()))?;
        }
        Ok(())
    }

    fn draw_names(&self, area: &Area<'_>, palette: &Palette) -> Drawn {
        for (group, rows) in self.places() {
            let family = Family::of(&group.contender);
            let mut weight = FontStyle::Normal;
            if family == Family::Dialogue {
                weight = FontStyle::Bold;
                let corners = [(PADDING / 2, rows.start), (WIDTH - PADDING / 2, rows.end)];
                area.draw(&Rectangle::new(corners, palette.band.filled()))?;
            }
            let style = text(TEXT, palette.colour(family), HPos::Right, weight);
            let middle = i32::midpoint(rows.start, rows.end);
            area.draw(&Text::new(&*group.contender, (NAMES, middle), style))?;
        }
        Ok(())
    }

    fn draw_axis(&self, area: &Area<'_>, palette: &Palette, scale: &Scale) -> Drawn {
        let (top, bottom) = (self.top(), self.bottom());
        let style = text(TEXT, palette.text, HPos::Center, FontStyle::Normal);
        let write = |text: &str, x, y| area.draw(&Text::new(text, (x, y), style.clone()));
        let draw =
            |x, style: ShapeStyle| area.draw(&PathElement::new(vec![(x, top), (x, bottom)], style));
        for tick in &scale.ticks {
            let x = scale.place(*tick);
            draw(x, palette.grid.stroke_width(1))?;
            write(&number::tick(*tick), x, bottom + LINE / 2)?;
        }
        write(&self.axis.title(), i32::midpoint(LEFT, RIGHT), bottom + LINE * 3 / 2)?;
        let Axis::Times(baseline) = &self.axis else { return Ok(()) };
        let x = scale.place(1.0);
        draw(x, palette.text.stroke_width(2))?;
        write(baseline, x, top - LINE / 2)
    }

    fn draw_points(&self, area: &Area<'_>, palette: &Palette, scale: &Scale) -> Drawn {
        for (group, rows) in self.places() {
            let family = Family::of(&group.contender);
            let colour = palette.colour(family);
            let behind = if family == Family::Dialogue { palette.band } else { palette.background };
            let mut y = rows.start + GAP / 2 + STEP / 2;
            for (mark, point) in self.marks.iter().zip(&group.points) {
                let Some(Spread { median, least, most }) = *point else { continue };
                let (median_x, most_x) = (scale.place(median), scale.place(most));
                if let Axis::FromZero(unit) = &self.axis {
                    let corners = [(LEFT, y - 5), (median_x, y + 5)];
                    area.draw(&Rectangle::new(corners, colour.mix(0.4).filled()))?;
                    let style = text(TEXT, palette.text, HPos::Left, FontStyle::Normal);
                    area.draw(&Text::new(number::figure(median, unit), (most_x + 10, y), style))?;
                }
                let line = vec![(scale.place(least), y), (most_x, y)];
                area.draw(&PathElement::new(line, colour.mix(0.6).stroke_width(2)))?;
                mark.draw(area, (median_x, y), colour, behind)?;
                y += STEP;
            }
        }
        Ok(())
    }

    fn notes(&self) -> impl Iterator<Item = &str> {
        self.note.as_deref().into_iter().chain([SPREAD])
    }

    /// Where the title and the notes end.
    fn head(&self) -> i32 {
        PADDING + LINE * (1 + self.notes().count() as i32)
    }

    /// Where the legend has its marks; what has one only needs none.
    fn legend(&self) -> Vec<(&Mark, (i32, i32))> {
        let (mut x, mut y) = (PADDING, self.head() + LINE / 2);
        let mut places = Vec::new();
        for mark in self.marks.iter().filter(|_| self.marks.len() > 1) {
            let width = 16 + LETTER * (mark.label.chars().count() as i32 + 2);
            if x + width > RIGHT {
                (x, y) = (PADDING, y + LINE);
            }
            places.push((mark, (x, y)));
            x += width;
        }
        places
    }

    /// Where contenders begin.
    fn top(&self) -> i32 {
        let legend = self.legend().last().map(|(_, (_, y))| y + LINE / 2);
        let baseline = if matches!(self.axis, Axis::Times(_)) { LINE } else { 0 };
        legend.unwrap_or_else(|| self.head()) + baseline + PADDING / 2
    }

    fn bottom(&self) -> i32 {
        self.places().last().map_or(self.top(), |(_, rows)| rows.end)
    }

    /// Those who have points, from top to bottom.
    fn places(&self) -> impl Iterator<Item = (&Group, Range<i32>)> {
        let mut y = self.top();
        self.groups.iter().filter_map(move |group| {
            let points = group.points.iter().flatten().count() as i32;
            let rows = y..y + points * STEP + GAP;
            (points > 0).then(|| {
                y = rows.end;
                (group, rows)
            })
        })
    }
}

/// Text in the middle of a line.
fn text(size: f64, colour: RGBColor, begins: HPos, weight: FontStyle) -> TextStyle<'static> {
    /// What plotters divides sizes by.
    const EM: f64 = 1.24;
    let font = (FONT, size * EM).into_font().style(weight);
    let place = Pos::new(begins, VPos::Center);
    TextStyle { color: colour.to_backend_color(), pos: place, ..TextStyle::from(font) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_without_points_have_no_place() {
        let mark = |label: &str| Mark { label: label.into(), shape: Shape::Square, hollow: true };
        let group = |contender: &str, points| Group { contender: contender.into(), points };
        let spread = Some(Spread { median: 1.2, least: 0.9, most: 2.0 });
        let chart = Chart {
            name: "cpu",
            title: "CPU & more".into(),
            note: None,
            axis: Axis::Times("socketioxide".into()),
            marks: vec![mark("one"), mark("two")],
            groups: vec![
                group("Dialogue", vec![spread, spread]),
                group("absent", vec![None, None]),
                group("Socket.IO on Node", vec![None, spread]),
            ],
        };
        let svg = chart.svg(&DARK).unwrap();
        for text in ["CPU &amp; more", "socketioxide", "one", "two", "Dialogue", "on Node"] {
            assert!(svg.contains(text), "{text} is not in\n{svg}");
        }
        assert!(!svg.contains("absent"));
        let heights: Vec<i32> = chart.places().map(|(_, rows)| rows.end - rows.start).collect();
        assert_eq!(heights, [2 * STEP + GAP, STEP + GAP]);
        assert_eq!(chart.file(&DARK), "cpu-dark.svg");
    }
}
