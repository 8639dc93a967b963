//! What a terminal can show, and how things look on it. Nothing here writes.
//!
//! Colours follow `NO_COLOR`, `CLICOLOR_FORCE`, `CLICOLOR` and whether somebody looks, in the way of clap's own output. Widths follow
//! `COLUMNS`, then the terminal; what goes into a file or a pipe has no width.

pub(crate) mod markdown;

use std::fmt::{self, Display};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Effects, Style};
use console::Term;

/// What is known of where text goes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    /// In columns; `None` where lines may be as long as they like.
    pub(crate) width: Option<u16>,
    pub(crate) paint: Paint,
}

/// Whether there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint {
    pub(crate) colours: bool,
}

/// What a piece of text is to the one who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Plain,
    /// A heading, or the name of what is spoken of.
    Strong,
    /// Beside the point.
    Dim,
    Good,
    Bad,
    Doubtful,
    /// What could be done.
    Hint,
    Code,
}

/// A piece of text as it looks.
pub(crate) struct Painted<T> {
    style: Style,
    text: T,
}

impl Screen {
    pub(crate) fn stdout() -> Self {
        Self {
            width: width(&Term::stdout()),
            paint: Paint::of(AutoStream::choice(&std::io::stdout())),
        }
    }

    pub(crate) fn stderr() -> Self {
        Self {
            width: width(&Term::stderr()),
            paint: Paint::of(AutoStream::choice(&std::io::stderr())),
        }
    }
}

fn width(term: &Term) -> Option<u16> {
    let told = std::env::var("COLUMNS").ok();
    let told = told.and_then(|columns| columns.parse().ok());
    told.filter(|columns| *columns > 0)
        .or_else(|| term.size_checked().map(|(_, columns)| columns))
}

impl Paint {
    fn of(choice: ColorChoice) -> Self {
        Self {
            colours: choice != ColorChoice::Never,
        }
    }

    pub(crate) fn paint<T: Display>(self, look: Look, text: T) -> Painted<T> {
        let style = match self.colours {
            true => look.style(),
            false => Style::new(),
        };
        Painted { style, text }
    }
}

impl Look {
    pub(crate) fn style(self) -> Style {
        let in_colour = |colour: AnsiColor| colour.on_default();
        match self {
            Self::Plain => Style::new(),
            Self::Strong => Effects::BOLD.into(),
            Self::Dim => Effects::DIMMED.into(),
            Self::Good => in_colour(AnsiColor::Green),
            Self::Bad => in_colour(AnsiColor::Red).effects(Effects::BOLD),
            Self::Doubtful => in_colour(AnsiColor::Yellow),
            Self::Hint => in_colour(AnsiColor::Cyan),
            Self::Code => in_colour(AnsiColor::Cyan),
        }
    }
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { style, text } = self;
        write!(f, "{style}{text}{style:#}")
    }
}
