//! Code search for AI assistants over the Model Context Protocol, stored in PostgreSQL.

pub mod pool;
