//! Whole stories over simulated drives, in process: what a user does, and what the simulators saw.

mod baidu;
mod basics;
mod cloud189;
mod harness;
mod matrix;
mod quark;
mod safety;
mod stalls;
mod still;
