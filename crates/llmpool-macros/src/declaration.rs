//! A function without a body that a model answers: what `#[llm_function]` and `#[llm_chat]` have in common.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens as _, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::{FnArg, GenericParam, Lifetime, LifetimeParam, PatType, ReturnType, Signature, Type};

use crate::doc_comment::{doc_lines, is_doc_comment};
use crate::function_item::{FunctionItem, bound_name, check_qualifiers, is_condition};
use crate::mistakes::Mistakes;
use crate::template::{self, PlaceholderNames, PromptPart};
use crate::type_tokens::{
    ends, find_borrow, find_ident, free_lifetime, peeled, peeled_mut, respanned, with_static_borrows,
};

/// Which attribute the function has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeclarationKind {
    Function,
    Chat,
}

impl DeclarationKind {
    fn attribute(self) -> &'static str {
        match self {
            Self::Function => "#[llm_function]",
            Self::Chat => "#[llm_chat]",
        }
    }
}

/// The parsed declaration.
pub(crate) struct Declaration {
    /// As written, but with a named lifetime of the model.
    item: FunctionItem,
    /// The lifetime for which a call borrows the model.
    lifetime: Lifetime,
    /// The type that a call returns when it is awaited.
    pub(crate) output: Type,
    pub(crate) model: Ident,
    /// The conversation so far, of a chat.
    pub(crate) history: Option<Ident>,
    /// All other parameters.
    arguments: Vec<Ident>,
    /// Whether an argument is no reference, although the call only reads it.
    takes_values: bool,
    prompt: Vec<PromptPart>,
}

impl Declaration {
    /// Reads a declaration and adds everything that is wrong with it to `mistakes`. Returns `None` if it has
    /// no usable model or return type; otherwise the declaration can be expanded, although there may be
    /// mistakes.
    pub(crate) fn read(item: &FunctionItem, kind: DeclarationKind, mistakes: &mut Mistakes) -> Option<Self> {
        check_qualifiers(&item.signature, kind.attribute(), mistakes);
        if let Some(body) = &item.body {
            mistakes.at(
                body,
                "remove the body and end the signature with `;`: the model writes the answer",
            );
        }
        let parameters = typed_parameters(item, kind, mistakes);
        let model = read_model(&item.signature, parameters.first().copied(), mistakes);
        let names: Vec<Option<Ident>> = parameters
            .iter()
            .map(|parameter| name_of(parameter, mistakes))
            .collect();
        let mut arguments = names.iter().skip(1);
        let history = match kind {
            DeclarationKind::Function => None,
            DeclarationKind::Chat => {
                check_history(&item.signature, parameters.get(1).copied(), mistakes);
                arguments.next().cloned().flatten()
            }
        };
        let arguments: Vec<Ident> = arguments.flatten().cloned().collect();
        let takes_values = parameters
            .iter()
            .any(|parameter| !matches!(peeled(&parameter.ty), Type::Reference(_)));
        let output = read_output(&item.signature, mistakes);
        let model_name = names.first().cloned().flatten();
        let prompt = read_prompt(item, model_name.as_ref(), history.as_ref(), &arguments, mistakes);

        let mut item = item.clone();
        let lifetime = name_lifetime(&mut item.signature, model?)?;
        Some(Self {
            item,
            lifetime,
            output: output?,
            model: model_name?,
            history,
            arguments,
            takes_values,
            prompt,
        })
    }

    /// Returns the function with the return type `call_type<'lifetime, Output>` and the given body.
    pub(crate) fn with_body(&self, call_type: &TokenStream, body: TokenStream) -> FunctionItem {
        let Self {
            item,
            lifetime,
            output,
            ..
        } = self;
        let mut item = item.clone();
        item.signature.asyncness = None;
        item.signature.output = call_output(call_type, lifetime, output);
        item.set_body(body);
        if self.takes_values {
            item.attributes
                .push(syn::parse_quote!(#[allow(clippy::needless_pass_by_value)]));
        }
        item
    }

    /// Like [`FunctionItem::stand_in`], with the return type of the expansion.
    pub(crate) fn stand_in(&self, call_type: &TokenStream) -> FunctionItem {
        let mut item = self.with_body(call_type, quote!(loop {})).stand_in();
        item.signature.asyncness = None;
        item
    }

    /// Returns `function(arguments)` with the span of the return type: errors about its bounds point there.
    pub(crate) fn call_at_output(&self, function: &TokenStream, arguments: &TokenStream) -> TokenStream {
        let (first, last) = ends(&self.output);
        let function = respanned(function, first);
        let arguments = quote_spanned!(last=> (#arguments));
        quote!(#function #arguments)
    }

    /// Returns the names of all parameters.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &Ident> {
        [&self.model]
            .into_iter()
            .chain(&self.history)
            .chain(&self.arguments)
    }

    /// Returns the name of the function as the model sees it.
    pub(crate) fn name(&self) -> String {
        self.item.signature.ident.unraw().to_string()
    }

    /// Returns `&[Piece::…, …]`: the system prompt.
    pub(crate) fn pieces(&self, krate: &syn::Path) -> TokenStream {
        let pieces = self.prompt.iter().map(|part| part.to_piece(krate));
        quote!(&[#(#pieces),*])
    }

    /// Returns `.argument("name", &name)…` for all arguments. An error about the type of one points at its
    /// parameter.
    pub(crate) fn argument_calls(&self) -> TokenStream {
        self.arguments
            .iter()
            .map(|argument| {
                let name = argument.unraw().to_string();
                let place = Span::call_site().located_at(argument.span());
                let value = quote_spanned!(place=> &#argument);
                quote!(.argument(#name, #value))
            })
            .collect()
    }
}

/// Like [`FunctionItem::stand_in`], for a declaration without a usable model or return type.
pub(crate) fn stand_in_of_unusable(item: &FunctionItem) -> FunctionItem {
    let mut item = item.stand_in();
    let output = with_static_borrows(item.signature.output.to_token_stream());
    if let Ok(output) = syn::parse2(output) {
        item.signature.output = output;
    }
    item.set_body(quote!(loop {}));
    item
}

/// Returns `-> call_type<'lifetime, Output>` with the spans of the type as written: errors about the type
/// point there.
fn call_output(call_type: &TokenStream, lifetime: &Lifetime, output: &Type) -> ReturnType {
    let (first, last) = ends(output);
    let call_type = respanned(call_type, first);
    let start = quote_spanned!(first=> -> #call_type<);
    let end = quote_spanned!(last=> >);
    syn::parse_quote!(#start #lifetime, #output #end)
}

/// Returns the parameters other than `self`.
fn typed_parameters<'a>(
    item: &'a FunctionItem,
    kind: DeclarationKind,
    mistakes: &mut Mistakes,
) -> Vec<&'a PatType> {
    let mut typed = Vec::new();
    for input in &item.signature.inputs {
        match input {
            FnArg::Receiver(receiver) => mistakes.at(
                receiver,
                format!(
                    "`{}` takes no `self`; pass what the prompt needs as parameters",
                    kind.attribute()
                ),
            ),
            FnArg::Typed(parameter) => {
                check_attributes(parameter, mistakes);
                typed.push(parameter);
            }
        }
    }
    typed
}

fn check_attributes(parameter: &PatType, mistakes: &mut Mistakes) {
    let mut docs = parameter
        .attrs
        .iter()
        .filter(|attribute| is_doc_comment(attribute));
    if let Some(doc) = docs.next() {
        mistakes.at(
            doc,
            "parameters have no doc comments here; describe the parameter in the prompt above the function",
        );
    }
    if let Some(condition) = parameter.attrs.iter().find(|attribute| is_condition(attribute)) {
        mistakes.at(
            condition,
            "a parameter cannot be conditional; put the condition on the function",
        );
    }
}

fn name_of(parameter: &PatType, mistakes: &mut Mistakes) -> Option<Ident> {
    let Some(name) = bound_name(&parameter.pat) else {
        mistakes.at(
            &parameter.pat,
            "a parameter is shown to the model by its name; write `name: Type`",
        );
        return None;
    };
    if name.mutability.is_some() {
        mistakes.at(name, "`mut` has no effect without a body; remove it");
    }
    Some(name.ident.clone())
}

const MODEL_HINT: &str = "write `llm: &dyn LlmInterface`";

/// Checks that the first parameter is a shared reference, and returns its position among all inputs.
fn read_model(signature: &Signature, first: Option<&PatType>, mistakes: &mut Mistakes) -> Option<usize> {
    let Some(parameter) = first else {
        mistakes.at_span(
            signature.paren_token.span.join(),
            format!("the first parameter is the model; {MODEL_HINT}"),
        );
        return None;
    };
    let Type::Reference(reference) = peeled(&parameter.ty) else {
        mistakes.at(
            &parameter.ty,
            format!("the first parameter is the model, as a reference; {MODEL_HINT}"),
        );
        return None;
    };
    if let Some(mutability) = &reference.mutability {
        mistakes.at(mutability, "a call only reads the model; remove `mut`");
        return None;
    }
    if is_text_or_list(&reference.elem) {
        mistakes.at(
            &parameter.ty,
            format!("the first parameter is the model, before the arguments; {MODEL_HINT}"),
        );
        return None;
    }
    signature
        .inputs
        .iter()
        .position(|input| matches!(input, FnArg::Typed(_)))
}

/// Returns whether the type is certainly no model.
fn is_text_or_list(ty: &Type) -> bool {
    match peeled(ty) {
        Type::Path(path) => path.path.is_ident("str") || path.path.is_ident("String"),
        Type::Slice(_) | Type::Array(_) | Type::Tuple(_) => true,
        _ => false,
    }
}

fn check_history(signature: &Signature, second: Option<&PatType>, mistakes: &mut Mistakes) {
    let message = "the second parameter is the conversation so far; write `history: &[Message]`";
    match second {
        None => mistakes.at_span(signature.paren_token.span.join(), message),
        Some(parameter) => {
            if bound_name(&parameter.pat).is_some_and(|name| name.ident != "history") {
                mistakes.at(&parameter.pat, message);
            }
        }
    }
}

fn read_output(signature: &Signature, mistakes: &mut Mistakes) -> Option<Type> {
    let ReturnType::Type(_, output) = &signature.output else {
        mistakes.at_span(
            signature.paren_token.span.close(),
            "a call returns the answer or an error; write `-> Result<T, E>` after the parameters",
        );
        return None;
    };
    let Type::Path(_) = peeled(output) else {
        mistakes.at(
            output,
            "a call returns the answer or an error; return `Result<T, E>`",
        );
        return None;
    };
    let sound = is_sound_output(signature, output, mistakes);
    sound.then(|| (**output).clone())
}

/// Checks that the return type is the same for all calls: its schema is computed once.
fn is_sound_output(signature: &Signature, output: &Type, mistakes: &mut Mistakes) -> bool {
    let mut is_sound = true;
    let mut refuse = |place: &dyn quote::ToTokens, message: String| {
        mistakes.at(place, message);
        is_sound = false;
    };
    for parameter in &signature.generics.params {
        let generic = match parameter {
            GenericParam::Type(parameter) => &parameter.ident,
            GenericParam::Const(parameter) => &parameter.ident,
            GenericParam::Lifetime(_) => continue,
        };
        if let Some(mention) = find_ident(output, &generic.to_string()) {
            let message = format!(
                "the return type depends on `{generic}`, but its schema is fixed; write one function for each type"
            );
            refuse(&mention, message);
        }
    }
    if let Some(borrow) = find_borrow(output) {
        refuse(
            &borrow,
            "the return type borrows, but an answer is a new value; return an owned type such as `String`"
                .into(),
        );
    }
    if let Some(keyword) = find_ident(output, "impl") {
        refuse(
            &keyword,
            "the schema of the answer needs the name of its type; replace `impl …`".into(),
        );
    }
    if let Some(keyword) = find_ident(output, "Self") {
        refuse(
            &keyword,
            "the return type cannot be `Self`; write the name of the type".into(),
        );
    }
    is_sound
}

fn read_prompt(
    item: &FunctionItem,
    model: Option<&Ident>,
    history: Option<&Ident>,
    arguments: &[Ident],
    mistakes: &mut Mistakes,
) -> Vec<PromptPart> {
    let before = mistakes.len();
    let lines = doc_lines(&item.attributes, mistakes);
    if lines.is_empty() && mistakes.len() == before {
        mistakes.at(
            &item.signature.ident,
            "the doc comment is the prompt; write `/// …` above the function",
        );
    }
    let text = |ident: &Ident| ident.unraw().to_string();
    let reserved = [(model, "the model"), (history, "the history")];
    let names = PlaceholderNames {
        arguments: arguments.iter().map(text).collect(),
        reserved: reserved
            .into_iter()
            .filter_map(|(name, role)| Some((text(name?), role)))
            .collect(),
    };
    template::parse(&lines, &names, mistakes)
}

/// Returns the lifetime of the model's reference. An elided one gets a name, which the signature declares.
fn name_lifetime(signature: &mut Signature, model: usize) -> Option<Lifetime> {
    let name = free_lifetime("llm", signature);
    let FnArg::Typed(parameter) = signature.inputs.get_mut(model)? else {
        return None;
    };
    let Type::Reference(reference) = peeled_mut(&mut parameter.ty) else {
        return None;
    };
    if let Some(named) = reference
        .lifetime
        .as_ref()
        .filter(|lifetime| lifetime.ident != "_")
    {
        return Some(named.clone());
    }
    let lifetime = Lifetime::new(&format!("'{name}"), Span::call_site());
    reference.lifetime = Some(lifetime.clone());
    signature
        .generics
        .params
        .insert(0, GenericParam::Lifetime(LifetimeParam::new(lifetime.clone())));
    Some(lifetime)
}
