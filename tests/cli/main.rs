//! The command line as scripts see it: the real program, with places of its own.

mod baidu;
mod errors;
mod house;
mod output;
mod profiles;
mod running;
mod sim;
