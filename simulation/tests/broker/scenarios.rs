//! Random schedules, and what must hold in each.

mod people;
mod seeds;
mod tokens;
mod webhooks;
