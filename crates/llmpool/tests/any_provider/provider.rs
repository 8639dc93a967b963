//! A random provider: its answer, how it writes the answer, and how the bytes arrive.

use std::collections::BTreeSet;

use llmpool::ApiFormat;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::answer::{Answer, Choice, Finish, Reading, any_answer};
use crate::delivery::{Delivery, any_delivery};

#[derive(Clone, Debug)]
pub struct Provider {
    pub format: ApiFormat,
    pub framing: Framing,
    pub style: Style,
    pub oddities: BTreeSet<Oddity>,
    pub delivery: Delivery,
    pub answer: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Events,
    Document,
    /// A document on several lines.
    PrettyDocument,
    /// A document, then `[DONE]`.
    DocumentWithMark,
    /// A document, then `data: [DONE]`.
    DocumentWithLastEvent,
    /// One event, which contains the whole answer.
    WholeAnswer,
    /// Events each of which contains the whole answer so far. Chat only.
    AnswersSoFar,
    /// The data of the events, one on a line.
    Lines,
}

/// What providers do in different ways, all of which are common.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    pub reasoning: ReasoningPlace,
    pub usage: UsagePlace,
    pub calls: CallStyle,
    /// How much of a streamed response comes in which events.
    pub detail: Detail,
    /// Whether deltas of two choices alternate.
    pub is_interleaved: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasoningPlace {
    ReasoningContent,
    Reasoning,
    /// Content parts of the type `thinking`, which have a list of texts.
    ThinkingParts,
    /// Content parts of the type `thinking`, which have a string.
    ThinkingText,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsagePlace {
    OwnChunk,
    LastChunk,
    EveryChunk,
    /// In the member `x_groq` of the last chunk.
    Groq,
    /// In the last choice.
    Choice,
}

/// What says to which call a delta belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallStyle {
    /// An index in each delta, the ID in the first.
    Index,
    IndexAndId,
    Id,
    /// The order of the deltas. The ID is in the first one of a call.
    Order,
    /// Each call is complete in one delta, without an index.
    Whole,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// All events, and the output again in the last one.
    Full,
    /// All events. The last one has no output.
    WithoutFinalOutput,
    /// No `done` events.
    Deltas,
    /// Only deltas and the first event of each item; the last event has no output.
    DeltasWithoutFinalOutput,
    /// Only complete items.
    Items,
    /// Only the last event.
    Last,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Oddity {
    // The framing.
    ByteOrderMark,
    BlankLines,
    CarriageReturns,
    LoneCarriageReturns,
    DataOnSeveralLines,
    Comments,
    BlankData,
    OtherFields,
    NoSpaceAfterColon,
    NoLastBlankLine,
    NoDone,
    // Both formats.
    SplitPairs,
    OddNumbers,
    NullMembers,
    ArgumentsAsObject,
    PartsOfEveryKind,
    // Chat.
    EmptyRole,
    NameInPieces,
    NameSoFar,
    NameWithEveryPiece,
    MessageBesideDelta,
    FinishReasonOfAnotherApi,
    NativeFinishReason,
    ChoicesFromOne,
    LastChoiceFirst,
    IdAsNumber,
    /// The role is in each delta.
    RoleInEveryDelta,
    /// In place of null, before the last delta.
    EmptyFinishReason,
    FinishReasonAsObject,
    /// A delta or message with nothing but text is a string.
    DeltaAsText,
    /// The text is beside the delta or message, as in the older API for completions.
    LegacyText,
    ChoicesAsObject,
    /// In the chunk of the usage.
    NullChoices,
    /// In the usage.
    DetailsOfAnotherType,
    /// Each piece of a call has another ID, if each has one.
    NewIdWithEveryPiece,
    /// The arguments of a call begin with `{}`.
    PlaceholderArguments,
    /// The last delta of a call is the whole call.
    CallRepeatedAtItsEnd,
    /// The counts have the names of the Responses API.
    UsageNamesOfAnotherApi,
    /// The text of a delta or message is in `text`.
    TextInPlaceOfContent,
    /// In place of null, before the last delta.
    FinishReasonOfPython,
    // Responses.
    /// The fields of the response are in the last event.
    FieldsInLastEvent,
    NoEventNames,
    NoItemIds,
    NoIndexes,
}

const ODDITIES: [Oddity; 44] = [
    Oddity::ByteOrderMark,
    Oddity::BlankLines,
    Oddity::CarriageReturns,
    Oddity::Comments,
    Oddity::BlankData,
    Oddity::OtherFields,
    Oddity::NoSpaceAfterColon,
    Oddity::NoLastBlankLine,
    Oddity::NoDone,
    Oddity::SplitPairs,
    Oddity::OddNumbers,
    Oddity::NullMembers,
    Oddity::ArgumentsAsObject,
    Oddity::PartsOfEveryKind,
    Oddity::EmptyRole,
    Oddity::NameInPieces,
    Oddity::NameSoFar,
    Oddity::NameWithEveryPiece,
    Oddity::MessageBesideDelta,
    Oddity::FinishReasonOfAnotherApi,
    Oddity::NativeFinishReason,
    Oddity::ChoicesFromOne,
    Oddity::LastChoiceFirst,
    Oddity::IdAsNumber,
    Oddity::NoEventNames,
    Oddity::NoItemIds,
    Oddity::NoIndexes,
    Oddity::LoneCarriageReturns,
    Oddity::DataOnSeveralLines,
    Oddity::RoleInEveryDelta,
    Oddity::EmptyFinishReason,
    Oddity::FinishReasonAsObject,
    Oddity::DeltaAsText,
    Oddity::LegacyText,
    Oddity::ChoicesAsObject,
    Oddity::NullChoices,
    Oddity::DetailsOfAnotherType,
    Oddity::FieldsInLastEvent,
    Oddity::NewIdWithEveryPiece,
    Oddity::PlaceholderArguments,
    Oddity::CallRepeatedAtItsEnd,
    Oddity::UsageNamesOfAnotherApi,
    Oddity::TextInPlaceOfContent,
    Oddity::FinishReasonOfPython,
];

impl Provider {
    pub fn has(&self, oddity: Oddity) -> bool {
        self.oddities.contains(&oddity)
    }

    pub fn is_chat(&self) -> bool {
        self.format == ApiFormat::ChatCompletions
    }

    /// Returns whether the body begins with a document.
    pub fn is_document(&self) -> bool {
        matches!(
            self.framing,
            Framing::Document
                | Framing::PrettyDocument
                | Framing::DocumentWithMark
                | Framing::DocumentWithLastEvent
        )
    }

    /// Returns what a chat must return.
    pub fn chat_reading(&self) -> Reading {
        self.answer.reading(|choice| match (self.format, choice.finish) {
            (ApiFormat::ChatCompletions, _) => self.finish_word(choice),
            (ApiFormat::Responses, Finish::Stop) if !choice.calls.is_empty() => "tool_calls",
            (ApiFormat::Responses, finish) => finish.word(),
        })
    }

    /// Returns what a native call to a Responses model must return.
    pub fn native_reading(&self) -> Reading {
        self.answer.reading(|choice| choice.finish.word())
    }

    /// Returns the finish reason of a choice as a chat completion has it.
    pub fn finish_word(&self, choice: &Choice) -> &'static str {
        match choice.finish {
            finish if !self.has(Oddity::FinishReasonOfAnotherApi) => finish.word(),
            Finish::Stop => "end_turn",
            Finish::Length => "MAX_TOKENS",
            Finish::Filter => "SAFETY",
        }
    }
}

impl Finish {
    pub fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Filter => "content_filter",
        }
    }
}

pub fn any_provider() -> impl Strategy<Value = Provider> {
    let format = select(vec![ApiFormat::ChatCompletions, ApiFormat::Responses]);
    let framing = select(vec![
        Framing::Events,
        Framing::Document,
        Framing::PrettyDocument,
        Framing::DocumentWithMark,
        Framing::DocumentWithLastEvent,
        Framing::WholeAnswer,
        Framing::AnswersSoFar,
        Framing::Lines,
        Framing::Events,
    ]);
    let oddities = subsequence(ODDITIES.to_vec(), 0..8);
    (
        format,
        framing,
        any_style(),
        oddities,
        any_delivery(),
        any_answer(),
    )
        .prop_map(|(format, framing, style, oddities, delivery, answer)| {
            possible(Provider {
                format,
                framing,
                style,
                oddities: oddities.into_iter().collect(),
                delivery,
                answer,
            })
        })
}

fn any_style() -> impl Strategy<Value = Style> {
    use ReasoningPlace::{Reasoning, ReasoningContent, ThinkingParts, ThinkingText};
    let reasoning = select(vec![ReasoningContent, Reasoning, ThinkingParts, ThinkingText]);
    let usage = select(vec![
        UsagePlace::OwnChunk,
        UsagePlace::LastChunk,
        UsagePlace::EveryChunk,
        UsagePlace::Groq,
        UsagePlace::Choice,
    ]);
    let calls = select(vec![
        CallStyle::Index,
        CallStyle::IndexAndId,
        CallStyle::Id,
        CallStyle::Order,
        CallStyle::Whole,
    ]);
    let detail = select(vec![
        Detail::Full,
        Detail::WithoutFinalOutput,
        Detail::Deltas,
        Detail::DeltasWithoutFinalOutput,
        Detail::Items,
        Detail::Last,
    ]);
    (reasoning, usage, calls, detail, any::<bool>()).prop_map(
        |(reasoning, usage, calls, detail, is_interleaved)| Style {
            reasoning,
            usage,
            calls,
            detail,
            is_interleaved,
        },
    )
}

/// Removes what contradicts itself, such as a document in pieces, and what is no answer at all.
fn possible(mut provider: Provider) -> Provider {
    use Oddity::{NameInPieces, NameSoFar, NameWithEveryPiece, NoLastBlankLine};
    let excluded = |provider: &mut Provider, oddities: &[Oddity]| {
        provider.oddities.retain(|oddity| !oddities.contains(oddity));
    };
    if !provider.is_chat() {
        provider.answer.choices.truncate(1);
        if provider.framing == Framing::AnswersSoFar {
            provider.framing = Framing::WholeAnswer;
        }
    }
    // One event on one line is no stream.
    if !provider.is_chat() && provider.framing == Framing::Lines && provider.style.detail == Detail::Last {
        provider.style.detail = Detail::Items;
    }
    // Deltas of a response have no last half, which its complete text has.
    if !provider.is_chat() && provider.style.detail == Detail::DeltasWithoutFinalOutput {
        let choice = &mut provider.answer.choices[0];
        for texts in [&mut choice.reasoning, &mut choice.text] {
            texts.push(".".to_owned());
        }
    }
    if provider.has(Oddity::LoneCarriageReturns) {
        excluded(&mut provider, &[Oddity::CarriageReturns]);
    }
    // The decoder drops one space after the colon.
    if provider.has(Oddity::DataOnSeveralLines) {
        excluded(&mut provider, &[Oddity::NoSpaceAfterColon]);
    }
    if provider.has(Oddity::DeltaAsText) {
        excluded(&mut provider, &[Oddity::LegacyText]);
    }
    // The text of the older API is that of a delta, and cannot be the text so far.
    if provider.framing == Framing::AnswersSoFar {
        excluded(&mut provider, &[Oddity::LegacyText]);
    }
    if provider.answer.choices.len() > 1 {
        excluded(&mut provider, &[Oddity::ChoicesAsObject]);
    }
    if provider.has(NameInPieces) {
        excluded(&mut provider, &[NameSoFar]);
    }
    if provider.has(NameInPieces) || provider.has(NameSoFar) {
        excluded(&mut provider, &[NameWithEveryPiece]);
    }
    // A piece with another ID, or after a placeholder, and with a name is another call.
    if provider.has(NameInPieces) || provider.has(NameSoFar) || provider.has(NameWithEveryPiece) {
        excluded(
            &mut provider,
            &[Oddity::NewIdWithEveryPiece, Oddity::PlaceholderArguments],
        );
    }
    if provider.has(Oddity::DeltaAsText) || provider.has(Oddity::LegacyText) {
        excluded(&mut provider, &[Oddity::TextInPlaceOfContent]);
    }
    // A comment makes an event of a document, which ends with the body.
    let is_event = matches!(
        provider.framing,
        Framing::DocumentWithLastEvent | Framing::Document
    );
    let has_end = provider.framing != Framing::Document || provider.delivery.ends_properly();
    if provider.is_document() && !(is_event && has_end) {
        excluded(&mut provider, &[Oddity::Comments]);
    }
    // An unfinished event may be cut off.
    if !provider.delivery.ends_properly() {
        excluded(&mut provider, &[NoLastBlankLine]);
    }
    provider
}
