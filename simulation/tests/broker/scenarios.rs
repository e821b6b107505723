//! Random schedules, and what must hold in each.

mod budgets;
mod consents;
mod events;
mod exchanges;
mod people;
mod rage;
mod registrations;
mod seeds;
mod tokens;
mod webhooks;
