//! The pages: parse the form, ask `admin`, render.

pub(super) mod about;
pub(super) mod address_book;
pub(super) mod administrators;
pub(super) mod aliases;
pub(super) mod backup;
pub(super) mod certificates;
pub(super) mod dashboard;
pub(super) mod deeds;
pub(super) mod domains;
pub(super) mod explain;
pub(super) mod files;
pub(super) mod groups;
pub(super) mod history;
pub(super) mod import;
pub(super) mod links;
pub(super) mod lists;
pub(super) mod log_in;
pub(super) mod logs;
pub(super) mod profile;
pub(super) mod queue;
pub(super) mod raw;
pub(super) mod rows;
pub(super) mod services;
pub(super) mod settings;
pub(super) mod users;
pub(super) mod welcome;

use serde::Serialize;

use super::visit::{PAGE_ROWS, Visit};

/// One page of a long list, for `_pages.html`.
#[derive(Debug, Serialize)]
pub(super) struct Paging {
    /// From 1.
    page: usize,
    pages: usize,
    /// Of all pages.
    rows: usize,
    previous: Option<String>,
    next: Option<String>,
}

impl Paging {
    /// The page that the query asks for, and which rows are on it.
    pub(super) fn of(visit: &Visit, path: &str, rows: usize) -> (Self, std::ops::Range<usize>) {
        let pages = rows.div_ceil(PAGE_ROWS).max(1);
        let page = visit.query("page").parse().unwrap_or(1).clamp(1, pages);
        let link = |page: usize| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            for (name, value) in visit.query.iter().filter(|(name, _)| name != "page") {
                query.append_pair(name, value);
            }
            query.append_pair("page", &page.to_string());
            format!("{path}?{}", query.finish())
        };
        let start = (page - 1) * PAGE_ROWS;
        let paging = Self {
            page,
            pages,
            rows,
            previous: (page > 1).then(|| link(page - 1)),
            next: (page < pages).then(|| link(page + 1)),
        };
        (paging, start..rows.min(start + PAGE_ROWS))
    }
}
