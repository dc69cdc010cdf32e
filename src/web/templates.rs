//! minijinja behind one door: templates by name, HTML escaped, unknown names an error.
//!
//! Functions for templates: `t(key, name=value)` a text, `number(n)`, `size(bytes)`, `moment(unix_secs)`, all in the
//! language of the page, which is the variable `lang`. `as_typed(action, name, value)` is what a refused form of that action
//! held, else the value, and `refusal_of(action, field)` why it was refused, if it was because of that field (none: what the form is
//! about), else nothing; `says_refusal(page)` whether a field of the page says it. The filter `code` sets what stands in backticks as code.

use std::sync::Arc;

use jiff::tz::TimeZone;
use minijinja::value::Kwargs;
use minijinja::{AutoEscape, Environment, Error, HtmlEscape, State, UndefinedBehavior, Value};

use super::assets::{AssetError, Assets, EMBEDDED};
use super::i18n::{self, Catalogs, Language};
use crate::clock::Clock;

/// All templates, ready to render.
#[derive(Debug)]
pub(super) struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    /// Reads and parses all templates.
    ///
    /// # Errors
    /// The first one that is none.
    pub(super) fn load(assets: &Assets, catalogs: &Arc<Catalogs>, clock: &Clock) -> Result<Self, AssetError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        add_functions(&mut environment, catalogs, clock.zoned().time_zone().clone());
        for (name, _) in EMBEDDED.iter().filter(|(name, _)| name.starts_with("templates/")) {
            let short = name.trim_start_matches("templates/");
            let text = assets.text(name)?.into_owned();
            let added = environment.add_template_owned(short, text);
            added.map_err(|source| AssetError::Template { name, source })?;
        }
        Ok(Self { environment })
    }

    /// A page.
    ///
    /// # Errors
    /// The template uses what is not there: a mistake of ours, or of a replaced template.
    pub(super) fn render(&self, name: &str, context: Value) -> Result<String, Error> {
        self.environment.get_template(name)?.render(context)
    }
}

fn language(state: &State<'_, '_>) -> Language {
    let tag = state.lookup("lang");
    tag.as_ref().and_then(Value::as_str).and_then(Language::of_tag).unwrap_or(Language::English)
}

fn add_functions(environment: &mut Environment<'static>, catalogs: &Arc<Catalogs>, zone: TimeZone) {
    let catalogs = Arc::clone(catalogs);
    environment.add_function(
        "t",
        move |state: &State<'_, '_>, key: &str, values: Kwargs| -> Result<String, Error> {
            let mut texts = Vec::new();
            for name in values.args() {
                texts.push((name, values.get::<Value>(name)?.to_string()));
            }
            let pairs: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
            Ok(catalogs.text(language(state), key, &pairs))
        },
    );
    environment.add_function("as_typed", |state: &State<'_, '_>, action: &str, name: &str, value: Value| {
        refused(state, action).map_or(value, |form| typed(&form, name))
    });
    environment.add_function("refusal_of", |state: &State<'_, '_>, action: &str, field: Option<&str>| {
        let form = refused(state, action).filter(|form| is_about(form, field.unwrap_or_default()));
        let text = form.and_then(|form| form.get_attr("text").ok());
        text.map_or_else(|| Value::from(""), |text| Value::from_safe_string(problem(&text)))
    });
    environment.add_function("says_refusal", |state: &State<'_, '_>, page: Value| {
        let text = state.lookup("refusal").and_then(|form| form.get_attr("text").ok());
        text.is_some_and(|text| page.to_string().contains(&problem(&text)))
    });
    environment.add_filter("code", |text: &str| code(text));
    environment.add_function("number", |value: i64| i18n::number(value));
    environment.add_function("size", |state: &State<'_, '_>, bytes: u64| i18n::size(language(state), bytes));
    environment.add_function("moment", move |state: &State<'_, '_>, unix_secs: i64| {
        i18n::moment(language(state), &zone, unix_secs)
    });
}

/// What is wrong with a field.
fn problem(text: &Value) -> String {
    format!("<p class=\"problem\">{}</p>", HtmlEscape(&text.to_string()))
}

/// The refused form, if it is that of this action.
fn refused(state: &State<'_, '_>, action: &str) -> Option<Value> {
    let form = state.lookup("refusal")?;
    let is_it = form.get_attr("action").is_ok_and(|path| path.as_str() == Some(action));
    is_it.then_some(form)
}

/// Whether the form was refused because of this field.
fn is_about(form: &Value, field: &str) -> bool {
    form.get_attr("field").is_ok_and(|wrong| wrong.as_str() == Some(field))
}

/// The first value of a name; empty where there is none, as with boxes that are not ticked.
fn typed(form: &Value, name: &str) -> Value {
    let pairs = form.get_attr("values").and_then(|pairs| pairs.try_iter().map(Iterator::collect::<Vec<_>>));
    let named = |pair: &Value| {
        let known = pair.get_item_by_index(0).ok()?;
        if known.as_str() == Some(name) { pair.get_item_by_index(1).ok() } else { None }
    };
    pairs.unwrap_or_default().iter().find_map(named).unwrap_or_else(|| Value::from(""))
}

/// Text as HTML, with what stands in backticks as code.
fn code(text: &str) -> Value {
    let parts: Vec<String> = text.split('`').map(|part| HtmlEscape(part).to_string()).collect();
    if parts.len().is_multiple_of(2) {
        // A backtick without its partner is one.
        return text.into();
    }
    let marked = |(index, part): (usize, &String)| match index % 2 {
        0 => part.clone(),
        _ => format!("<code>{part}</code>"),
    };
    Value::from_safe_string(parts.iter().enumerate().map(marked).collect())
}

/// A map for a template: `context! { name, other => value }`; every value is one that serde can write.
macro_rules! context {
    (@value $key:ident) => { minijinja::Value::from(minijinja::value::Serde(&$key)) };
    (@value $key:ident $value:expr) => { minijinja::Value::from(minijinja::value::Serde(&$value)) };
    ($($key:ident $(=> $value:expr)?),* $(,)?) => {
        minijinja::Value::from_pairs([
            $((stringify!($key), $crate::web::templates::context!(@value $key $($value)?))),*
        ])
    };
}
pub(in crate::web) use context;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_what_stands_between_two_backticks() {
        let check = |text: &str, expected: &str| {
            let mut environment = Environment::new();
            environment.set_auto_escape_callback(|_| AutoEscape::Html);
            environment.add_filter("code", |text: &str| code(text));
            let shown = environment.render_named_str("x", "{{ text|code }}", minijinja::context! { text });
            assert_eq!(shown.unwrap(), expected);
        };
        check("a `<b>` & c", "a <code>&lt;b&gt;</code> &amp; c");
        check("`a` `b`", "<code>a</code> <code>b</code>");
        check("a ` <b>", "a ` &lt;b&gt;");
        check("", "");
    }
}
