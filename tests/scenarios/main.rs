//! Whole stories over simulated drives, in process: what a user does, and what the simulators saw.

mod baidu;
mod baidu_extra;
mod basics;
mod between;
mod cloud189;
mod harness;
mod large;
mod matrix;
mod quark;
mod safety;
mod stalls;
mod still;
