//! Random schedules, and what must hold in each.

mod events;
mod exchanges;
mod people;
mod registrations;
mod seeds;
mod tokens;
mod webhooks;
