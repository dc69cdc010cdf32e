//! The roof (being written).

mod listeners;
mod process;
