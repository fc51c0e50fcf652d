//! Code search for AI assistants over the Model Context Protocol, stored in PostgreSQL.
//!
//! # Layout, in reading order
//!
//! - [`cli`]: the command line, one file per subcommand; the binary calls nothing else.
//! - [`app`]: builds the parts, hands them to each other, stops them in reverse order.
//! - [`config`]: one YAML file and the environment, read once into the settings of each part.
//! - [`mcp`]: the face that an assistant sees: tools, resources, errors.
//! - [`search`]: a question becomes a vector, the vector an answer.
//! - [`index`]: a folder becomes files, chunks and vectors.
//! - [`jobs`]: who indexes what, and how far it is.
//! - [`project`]: which database a request means, and its pool.
//! - [`store`]: the tables, as SQL in free functions.
//! - [`embed`]: the model that makes vectors of text.
//! - [`pool`]: connections, fairly shared and never handed on half-used.
//! - [`postgres`]: the PostgreSQL that comes with the program.
//! - [`control`]: the socket at which a running server says how its pools are.
//! - [`telemetry`]: the log.
//!
//! `docs/ARCHITECTURE.md` follows the data through them and says what must stay true.

pub mod app;
pub mod cli;
pub mod config;
pub mod control;
pub mod embed;
pub mod index;
pub mod jobs;
pub mod mcp;
pub mod pool;
pub mod postgres;
pub mod project;
pub mod search;
pub mod store;
pub mod telemetry;
