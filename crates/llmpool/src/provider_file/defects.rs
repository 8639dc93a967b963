//! What is wrong with a file, as data and as text.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The line, from 1; 0 where it concerns the file as a whole.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// Where, as in `openai[0].api_keys[2]`; empty for the file itself.
    pub field: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub cure: String,
}

/// Something that works but deserves a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(pub(super) Diagnostic);

/// Everything that is wrong with a file. Nothing of it was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderFileError {
    origin: String,
    defects: Vec<Diagnostic>,
}

impl Warning {
    /// Where, what and what to do.
    pub fn defect(&self) -> &Diagnostic {
        &self.0
    }
}

impl ProviderFileError {
    pub(super) fn new(origin: &str, mut defects: Vec<Diagnostic>) -> Self {
        defects.sort_by_key(|defect| (defect.line, defect.column));
        Self {
            origin: origin.to_owned(),
            defects,
        }
    }

    /// Something that is wrong with a file as a whole, beyond what it says itself.
    pub fn of_the_whole(origin: &str, problem: &str) -> Self {
        Self::whole(origin, problem, "change it and check again")
    }

    pub(super) fn whole(origin: &str, problem: &str, cure: &str) -> Self {
        let (problem, cure) = (problem.to_owned(), cure.to_owned());
        Self::new(
            origin,
            vec![Diagnostic {
                line: 0,
                column: 0,
                field: String::new(),
                problem,
                cure,
            }],
        )
    }

    /// What the file is called.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Everything that is wrong, in the order of the file.
    pub fn defects(&self) -> &[Diagnostic] {
        &self.defects
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}:{}: ", self.line, self.column)?;
        } else {
            f.write_str(" ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        write!(f, "{}; {}", self.problem, self.cure)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ProviderFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.defects.len() > 1 {
            writeln!(
                f,
                "{} has {} defects, so nothing of it is used:",
                self.origin,
                self.defects.len()
            )?;
        }
        for (index, defect) in self.defects.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:{defect}", self.origin)?;
        }
        Ok(())
    }
}

impl std::error::Error for ProviderFileError {}
