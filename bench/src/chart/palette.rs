//! Colours.

use plotters::style::RGBColor;

/// Colours that people tell apart, whichever of them they see.
pub(crate) struct Palette {
    /// What files' names end with.
    pub(super) suffix: &'static str,
    pub(super) background: RGBColor,
    pub(super) text: RGBColor,
    pub(super) grid: RGBColor,
    /// What is behind Dialogue's points.
    pub(super) band: RGBColor,
    dialogue: RGBColor,
    rust: RGBColor,
    node: RGBColor,
    bun: RGBColor,
}

/// Whose colour a contender has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Dialogue,
    /// The others that are written in Rust.
    Rust,
    Node,
    Bun,
}

pub(crate) const LIGHT: Palette = Palette {
    suffix: "",
    background: RGBColor(0xFF, 0xFF, 0xFF),
    text: RGBColor(0x1F, 0x23, 0x28),
    grid: RGBColor(0xD8, 0xDE, 0xE4),
    band: RGBColor(0xE9, 0xF3, 0xFA),
    dialogue: RGBColor(0x00, 0x72, 0xB2),
    rust: RGBColor(0x57, 0x60, 0x6A),
    node: RGBColor(0xC2, 0x55, 0x00),
    bun: RGBColor(0xA8, 0x4A, 0x86),
};

pub(crate) const DARK: Palette = Palette {
    suffix: "-dark",
    background: RGBColor(0x0D, 0x11, 0x17),
    text: RGBColor(0xE6, 0xED, 0xF3),
    grid: RGBColor(0x30, 0x36, 0x3D),
    band: RGBColor(0x12, 0x26, 0x36),
    dialogue: RGBColor(0x56, 0xB4, 0xE9),
    rust: RGBColor(0x9A, 0xA4, 0xAE),
    node: RGBColor(0xE6, 0x9F, 0x00),
    bun: RGBColor(0xDD, 0x8A, 0xBB),
};

impl Palette {
    pub(super) fn colour(&self, family: Family) -> RGBColor {
        match family {
            Family::Dialogue => self.dialogue,
            Family::Rust => self.rust,
            Family::Node => self.node,
            Family::Bun => self.bun,
        }
    }
}

impl Family {
    pub(crate) fn of(contender: &str) -> Self {
        if contender.starts_with("Dialogue") {
            Self::Dialogue
        } else if contender.contains("on Node") {
            Self::Node
        } else if contender.contains("on Bun") {
            Self::Bun
        } else {
            Self::Rust
        }
    }
}
