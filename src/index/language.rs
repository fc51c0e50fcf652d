//! The language of a file, told from its name, or from its first line where the name tells nothing.

/// A language by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Language(&'static str);

/// Languages and the extensions of their files, in lower case.
const EXTENSIONS: &[(&str, &[&str])] = &[
    ("rust", &["rs"]),
    ("python", &["py", "pyi", "pyw"]),
    ("javascript", &["js", "jsx", "mjs", "cjs"]),
    ("typescript", &["ts", "tsx", "mts", "cts"]),
    ("go", &["go"]),
    ("java", &["java"]),
    ("c", &["c", "h"]),
    ("cpp", &["cc", "cpp", "cxx", "c++", "hh", "hpp", "hxx", "inl", "ipp"]),
    ("csharp", &["cs", "csx"]),
    ("fsharp", &["fs", "fsi", "fsx"]),
    ("objective-c", &["m", "mm"]),
    ("ruby", &["rb", "rake", "gemspec", "erb"]),
    ("php", &["php", "phtml"]),
    ("perl", &["pl", "pm", "t"]),
    ("kotlin", &["kt", "kts"]),
    ("swift", &["swift"]),
    ("scala", &["scala", "sc", "sbt"]),
    ("groovy", &["groovy", "gradle"]),
    ("clojure", &["clj", "cljs", "cljc", "edn"]),
    ("haskell", &["hs", "lhs"]),
    ("ocaml", &["ml", "mli"]),
    ("erlang", &["erl", "hrl"]),
    ("elixir", &["ex", "exs"]),
    ("elm", &["elm"]),
    ("dart", &["dart"]),
    ("lua", &["lua"]),
    ("r", &["r", "rmd"]),
    ("julia", &["jl"]),
    ("zig", &["zig"]),
    ("nim", &["nim"]),
    ("assembly", &["s", "asm"]),
    ("bash", &["sh", "bash", "zsh", "ksh", "fish", "bats"]),
    ("powershell", &["ps1", "psm1", "psd1"]),
    ("batch", &["bat", "cmd"]),
    ("sql", &["sql", "psql"]),
    ("graphql", &["graphql", "gql"]),
    ("protobuf", &["proto"]),
    ("html", &["html", "htm", "xhtml"]),
    ("vue", &["vue"]),
    ("svelte", &["svelte"]),
    ("css", &["css", "scss", "sass", "less"]),
    ("xml", &["xml", "xsd", "xsl", "svg", "plist", "csproj"]),
    ("markdown", &["md", "markdown", "mdx", "mkd"]),
    ("restructuredtext", &["rst"]),
    ("latex", &["tex", "sty"]),
    ("toml", &["toml"]),
    ("yaml", &["yaml", "yml"]),
    ("json", &["json", "jsonc", "json5", "jsonl", "ipynb", "webmanifest"]),
    ("ini", &["ini", "cfg", "conf", "properties"]),
    ("csv", &["csv", "tsv"]),
    ("terraform", &["tf", "tfvars", "hcl"]),
    ("nix", &["nix"]),
    ("starlark", &["bzl", "bazel", "star"]),
    ("cmake", &["cmake"]),
    ("makefile", &["mk", "mak"]),
    ("dockerfile", &["dockerfile"]),
    ("diff", &["diff", "patch"]),
];

/// Languages and whole file names, in lower case.
const NAMES: &[(&str, &[&str])] = &[
    ("makefile", &["makefile", "gnumakefile"]),
    ("dockerfile", &["dockerfile", "containerfile"]),
    ("cmake", &["cmakelists.txt"]),
    ("starlark", &["build", "workspace", "tiltfile"]),
    ("ruby", &["gemfile", "rakefile", "podfile", "vagrantfile"]),
    ("python", &["sconstruct", "sconscript"]),
    ("groovy", &["jenkinsfile"]),
    ("toml", &["cargo.lock", "poetry.lock", "uv.lock", "pipfile"]),
    ("json", &["composer.lock", "pipfile.lock"]),
    ("bash", &[".bashrc", ".bash_profile", ".profile", ".zshrc", ".envrc"]),
];

/// Languages and the interpreters that a `#!` line may name, without a version.
const INTERPRETERS: &[(&str, &[&str])] = &[
    ("python", &["python", "pypy"]),
    ("bash", &["sh", "bash", "dash", "zsh", "ksh", "fish"]),
    ("javascript", &["node", "bun"]),
    ("typescript", &["deno", "ts-node"]),
    ("ruby", &["ruby"]),
    ("perl", &["perl"]),
    ("php", &["php"]),
    ("lua", &["lua"]),
];

impl Language {
    /// Rust, split by its syntax.
    pub const RUST: Self = Self("rust");
    /// Python, split by its syntax.
    pub const PYTHON: Self = Self("python");
    /// Markdown, split by its headings.
    pub const MARKDOWN: Self = Self("markdown");
    /// Anything not known by another name.
    pub const TEXT: Self = Self("text");

    /// Returns the language of the file at `path` with the content `text`.
    pub fn of(path: &str, text: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
        let by_name = find(NAMES, &name);
        // A leading dot makes a file hidden and does not set off an extension.
        let visible = name.strip_prefix('.').unwrap_or(&name);
        let extension = visible.rsplit_once('.').map(|(_, extension)| extension);
        by_name
            .or_else(|| match extension {
                Some(extension) => find(EXTENSIONS, extension),
                None => find(INTERPRETERS, interpreter(text)?),
            })
            .unwrap_or(Self::TEXT)
    }

    /// Returns the name in lower case, for people and for the database.
    pub fn name(self) -> &'static str {
        self.0
    }
}

fn find(table: &[(&'static str, &[&str])], key: &str) -> Option<Language> {
    table.iter().find(|(_, keys)| keys.contains(&key)).map(|(name, _)| Language(name))
}

/// Returns `python` for `#!/usr/bin/env -S python3.12 -u` and for `#!/usr/bin/python`.
fn interpreter(text: &str) -> Option<&str> {
    let command = text.lines().next()?.strip_prefix("#!")?;
    let mut programs = command
        .split_whitespace()
        .filter(|word| !word.starts_with('-'))
        .map(|program| program.rsplit_once('/').map_or(program, |(_, name)| name));
    let program = programs.next()?;
    let program = if program == "env" { programs.next()? } else { program };
    Some(program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_by_name() {
        for (path, language) in [
            ("src/lib.rs", "rust"),
            ("a/b.c/setup.PY", "python"),
            ("stubs/x.pyi", "python"),
            ("web/App.tsx", "typescript"),
            ("include/x.h", "c"),
            ("deploy/Dockerfile", "dockerfile"),
            ("api.Dockerfile", "dockerfile"),
            ("CMakeLists.txt", "cmake"),
            ("Cargo.lock", "toml"),
            (".github/workflows/ci.yml", "yaml"),
            ("README.md", "markdown"),
            (".gitignore", "text"),
            (".py", "text"),
            ("LICENSE", "text"),
            ("notes.txt", "text"),
            ("x.", "text"),
            ("", "text"),
            ("é.rs", "rust"),
            ("é", "text"),
        ] {
            assert_eq!(Language::of(path, "").name(), language, "{path:?}");
        }
    }

    #[test]
    fn languages_by_first_line() {
        for (text, language) in [
            ("#!/usr/bin/env python3\nimport os", "python"),
            ("#!/usr/bin/env -S python3.12 -u\n", "python"),
            ("#! /bin/sh -e", "bash"),
            ("#!/usr/bin/node\r\n", "javascript"),
            ("#!/usr/bin/env\n", "text"),
            ("#!\n", "text"),
            ("#!/\n", "text"),
            ("\n#!/bin/sh\n", "text"),
        ] {
            assert_eq!(Language::of("bin/tool", text).name(), language, "{text:?}");
        }
        assert_eq!(Language::of("tool.txt", "#!/bin/sh").name(), "text");
    }

    #[test]
    fn each_key_has_one_language() {
        for table in [EXTENSIONS, NAMES, INTERPRETERS] {
            let mut keys: Vec<_> = table.iter().flat_map(|(_, keys)| *keys).collect();
            let count = keys.len();
            keys.sort_unstable();
            keys.dedup();
            assert_eq!(keys.len(), count);
        }
    }
}
