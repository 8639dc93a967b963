//! The output of `#[tools]`: the `impl` block, and beside it one with the method that returns the tools.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Attribute, ImplItem, ImplItemFn, ItemImpl, Meta, Path, ReceiverKind};

use crate::mistakes::Mistakes;
use crate::options::{Options, TOOL_METHOD, TOOLS};
use crate::tool_definition::ToolDefinition;
use crate::type_tokens::ends;

/// Expands `#[tools(options)] item`.
pub(crate) fn tools(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut block: ItemImpl = match syn::parse2(item) {
        Ok(block) => block,
        Err(error) => return error.into_compile_error(),
    };
    let mut mistakes = Mistakes::default();
    let Options { krate, method, .. } = Options::parse(options, &TOOLS, &mut mistakes);
    let method = method.unwrap_or_else(|| Ident::new("tools", Span::call_site()));
    if let Some((path, _)) = &block.trait_ {
        mistakes.at(
            path,
            "tools are methods of a type, not of a trait; write `#[tools]` on `impl Type { … }`",
        );
    }
    let methods = take_methods(&mut block, &krate, &mut mistakes);
    if methods.is_empty() {
        mistakes.at(
            &block.self_ty,
            "no method of this block is a tool; write `#[tool]` above one",
        );
    }
    check_names(&methods, &mut mistakes);
    let beside = if mistakes.is_empty() {
        tools_impl(&block, &method, &methods, &krate, &tools_body(&methods, &krate))
    } else {
        tools_impl(&block, &method, &methods, &krate, &quote!(loop {}))
    };
    let errors = mistakes.into_compile_errors();
    quote!(#errors #block #beside)
}

/// A method with `#[tool]`.
struct ToolMethod {
    ident: Ident,
    conditions: Vec<Attribute>,
    definition: ToolDefinition,
}

/// Returns the methods with `#[tool]`, and removes this attribute and the doc comments of parameters.
fn take_methods(block: &mut ItemImpl, krate: &Path, mistakes: &mut Mistakes) -> Vec<ToolMethod> {
    let generics = block.generics.clone();
    let mut methods = Vec::new();
    for item in &mut block.items {
        let ImplItem::Fn(method) = item else { continue };
        let marks: Vec<Attribute> = method
            .attrs
            .extract_if(.., |attribute| is_mark(attribute))
            .collect();
        let [mark, repeated @ ..] = marks.as_slice() else {
            continue;
        };
        if let Some(repeated) = repeated.first() {
            mistakes.at(repeated, "a method is one tool; remove the second `#[tool]`");
        }
        let mut options = Options::parse(mark_options(mark, mistakes), &TOOL_METHOD, mistakes);
        options.krate = krate.clone();
        check_receiver(method, mistakes);
        let definition = ToolDefinition::take(
            &method.attrs,
            &mut method.sig,
            Some(&generics),
            &options,
            mistakes,
        );
        let conditions = method
            .attrs
            .iter()
            .filter(|attribute| attribute.path().is_ident("cfg"))
            .cloned()
            .collect();
        methods.push(ToolMethod {
            ident: method.sig.ident.clone(),
            conditions,
            definition,
        });
    }
    methods
}

fn is_mark(attribute: &Attribute) -> bool {
    attribute
        .path()
        .segments
        .last()
        .is_some_and(|segment| segment.ident == "tool")
}

fn mark_options(mark: &Attribute, mistakes: &mut Mistakes) -> TokenStream {
    match &mark.meta {
        Meta::Path(_) => TokenStream::new(),
        Meta::List(list) => list.tokens.clone(),
        Meta::NameValue(_) => {
            mistakes.at(
                mark,
                "options stand in parentheses; write `#[tool(timeout = 30)]`",
            );
            TokenStream::new()
        }
    }
}

fn check_receiver(method: &ImplItemFn, mistakes: &mut Mistakes) {
    match method.sig.receiver() {
        None => mistakes.at(
            &method.sig.ident,
            "a tool of a value takes `&self`; for a tool without a value, write `#[tool]` on a function outside of `impl`",
        ),
        Some(receiver) => {
            if !matches!(receiver.kind, ReceiverKind::Reference(_, _, None)) {
                mistakes.at(
                    receiver,
                    "calls of tools run at the same time; take `&self`, and keep state that changes in a `Mutex`",
                );
            }
        }
    }
}

/// Checks that no two tools have the same name.
fn check_names(methods: &[ToolMethod], mistakes: &mut Mistakes) {
    for (index, method) in methods.iter().enumerate() {
        let is_same = |other: &&ToolMethod| {
            other.definition.name == method.definition.name
                && other.conditions.is_empty()
                && method.conditions.is_empty()
        };
        if let Some(first) = methods[..index].iter().find(is_same) {
            let message = format!(
                "the method `{}` is a tool of the same name; set another `name`",
                first.ident
            );
            mistakes.at(&method.ident, message);
        }
    }
}

fn tools_body(methods: &[ToolMethod], krate: &Path) -> TokenStream {
    // A name of the macro, which no name of the user can collide with.
    let this = Ident::new("this", Span::mixed_site());
    let tools = methods.iter().map(
        |ToolMethod {
             ident,
             conditions,
             definition,
         }| {
            let arguments = definition.arguments_struct(krate);
            let callable = definition.callable(krate, &quote!(Self::#ident), Some(&this));
            quote! {
                #(#conditions)*
                {
                    #arguments
                    let #this = ::std::sync::Arc::clone(self);
                    #callable
                }
            }
        },
    );
    quote!(::std::vec::Vec::from([#(#tools),*]))
}

fn tools_impl(
    block: &ItemImpl,
    method: &Ident,
    methods: &[ToolMethod],
    krate: &Path,
    body: &TokenStream,
) -> TokenStream {
    let conditions = block
        .attrs
        .iter()
        .filter(|attribute| attribute.path().is_ident("cfg"));
    let (generics, _, where_clause) = block.generics.split_for_impl();
    let ty = &block.self_ty;
    // An error about a bound points at the type.
    let place = Span::call_site().located_at(ends(ty).0);
    let shareable = quote_spanned!(place=> Self: ::core::marker::Send + ::core::marker::Sync + 'static);
    let names: Vec<String> = methods
        .iter()
        .map(|method| format!("`{}`", method.definition.name))
        .collect();
    let doc = format!(" Returns the tools of this value: {}.", names.join(", "));
    quote! {
        #(#conditions)*
        impl #generics #ty #where_clause {
            #[doc = #doc]
            #[allow(unreachable_pub)]
            pub fn #method(self: &::std::sync::Arc<Self>) -> ::std::vec::Vec<#krate::tool::CallableTool>
            where
                #shareable,
            {
                #body
            }
        }
    }
}

#[cfg(test)]
mod tests;
