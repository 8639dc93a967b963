//! Detects the width and the colour support of output streams, and styles text. Writes nothing.
//!
//! As in clap's own output, the use of colours depends on `NO_COLOR`, `CLICOLOR_FORCE` and `CLICOLOR`, and on
//! whether the stream is a terminal. The width is the value of `COLUMNS` if that is set, and otherwise the
//! width of the terminal. Without `COLUMNS`, a file or a pipe has no width.

pub(crate) mod markdown;

use std::fmt::{self, Display};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Effects};
use console::Term;

/// The width and colour support of an output stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    /// Width in columns. `None` if `COLUMNS` is not set and the stream is not a terminal; the output is then
    /// not wrapped.
    pub(crate) width: Option<u16>,
    pub(crate) painter: Painter,
}

/// Applies styles to text if colours are enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Painter {
    pub(crate) colours: bool,
}

/// The role of a piece of text, which determines its colour and other effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    /// A heading, or the subject of a message.
    Strong,
    /// Secondary information, such as where a setting comes from.
    Dim,
    Good,
    Bad,
    Warning,
    Hint,
    Code,
}

/// Text that is displayed with the escape codes of its style.
pub(crate) struct StyledText<T> {
    style: anstyle::Style,
    text: T,
}

impl Screen {
    pub(crate) fn stdout() -> Self {
        Self {
            width: width(&Term::stdout()),
            painter: Painter::new(AutoStream::choice(&std::io::stdout())),
        }
    }

    pub(crate) fn stderr() -> Self {
        Self {
            width: width(&Term::stderr()),
            painter: Painter::new(AutoStream::choice(&std::io::stderr())),
        }
    }
}

fn width(term: &Term) -> Option<u16> {
    let columns = std::env::var("COLUMNS").ok();
    let columns = columns.and_then(|columns| columns.parse().ok());
    columns
        .filter(|columns| *columns > 0)
        .or_else(|| term.size_checked().map(|(_, columns)| columns))
}

impl Painter {
    fn new(choice: ColorChoice) -> Self {
        Self {
            colours: choice != ColorChoice::Never,
        }
    }

    pub(crate) fn paint<T: Display>(self, style: Style, text: T) -> StyledText<T> {
        let style = match self.colours {
            true => style.ansi(),
            false => anstyle::Style::new(),
        };
        StyledText { style, text }
    }
}

impl Style {
    /// Returns the colour and the effects of the style.
    pub(crate) fn ansi(self) -> anstyle::Style {
        let colour = |colour: AnsiColor| colour.on_default();
        match self {
            Self::Plain => anstyle::Style::new(),
            Self::Strong => Effects::BOLD.into(),
            Self::Dim => Effects::DIMMED.into(),
            Self::Good => colour(AnsiColor::Green),
            Self::Bad => colour(AnsiColor::Red).effects(Effects::BOLD),
            Self::Warning => colour(AnsiColor::Yellow),
            Self::Hint | Self::Code => colour(AnsiColor::Cyan),
        }
    }
}

impl<T: Display> Display for StyledText<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { style, text } = self;
        write!(f, "{style}{text}{style:#}")
    }
}
