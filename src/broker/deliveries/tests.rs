//! Delivering webhooks over simulated surroundings.
