//! The layers of a crate: which file imports which, read from its source.
//!
//! A file imports from its own layer and from those below, and files of different folders import each other in no
//! cycle. Re-exports are followed to the file that defines the name; a `pub use` itself is no import. Paths within the
//! calls of macros are not read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use syn::{Attribute, Item, UseTree, Visibility, visit::Visit};

use crate::command::Failure;

/// The layers of a crate, from the top.
struct Layers {
    root: &'static str,
    /// Folders and files, by how their path begins. The first that fits counts.
    layers: &'static [(&'static str, &'static [&'static str])],
}

/// Maximum number of files of one folder that import each other in a cycle.
const MOST: usize = 3;

const CRATES: [Layers; 2] = [
    Layers {
        root: "dialogue/src/lib.rs",
        layers: &[
            ("macros' door", &["lib.rs", "__private.rs", "__private/", "bench.rs", "testing.rs"]),
            ("handle", &["handle/"]),
            ("transport", &["transport/"]),
            ("service", &["service/"]),
            ("app", &["app/", "auth/"]),
            ("web", &["web/"]),
            ("engine", &["engine/"]),
            ("connection", &["connection/"]),
            (
                "limits and logging",
                &["limits.rs", "untagged_enums.rs", "logging.rs", "socketio.rs"],
            ),
            ("contract", &["contract/"]),
            ("store", &["store/"]),
            ("protocol", &["protocol.rs", "error.rs"]),
            ("model", &["model/"]),
        ],
    },
    Layers {
        root: "dialogue-client/src/lib.rs",
        layers: &[
            (
                "handles",
                &[
                    "lib.rs",
                    "builder.rs",
                    "client.rs",
                    "room.rs",
                    "stream.rs",
                    "history.rs",
                    "trigger.rs",
                ],
            ),
            ("the connection's task", &["connection/", "membership/"]),
            (
                "shared by both",
                &[
                    "shared.rs",
                    "core.rs",
                    "command.rs",
                    "hub.rs",
                    "direct.rs",
                    "reader.rs",
                    "link.rs",
                    "request.rs",
                ],
            ),
            ("values and the wire", &[""]),
        ],
    },
];

/// Prints the layers, and fails where an import runs up or a cycle is too large.
pub(crate) fn check() -> Result<(), Failure> {
    let mut wrong = Vec::new();
    for layers in &CRATES {
        let graph = Graph::read(Path::new(layers.root))?;
        wrong.extend(layers.report(&graph));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Failure::new(wrong.join("\n"))) }
}

impl Layers {
    fn layer(&self, file: &str) -> usize {
        let fits = |(_, beginnings): &(&str, &[&str])| {
            beginnings.iter().any(|beginning| file.starts_with(beginning))
        };
        self.layers.iter().position(fits).unwrap_or(self.layers.len())
    }

    /// Prints what there is, and returns what is wrong.
    fn report(&self, graph: &Graph) -> Vec<String> {
        println!("\n{}", self.root);
        for (number, (name, _)) in self.layers.iter().enumerate() {
            let files = graph.files.iter().filter(|file| self.layer(file) == number);
            println!("  {name}: {} files", files.count());
        }
        let mut wrong = Vec::new();
        let upward: Vec<_> = graph
            .imports
            .iter()
            .filter(|((from, to), _)| self.layer(from) > self.layer(to))
            .map(|((from, to), names)| format!("{from} imports {to}: {}", list(names)))
            .collect();
        let cycles = graph.cycles();
        for cycle in &cycles {
            println!("  cycle of {} files:", cycle.len());
            for ((from, to), names) in &graph.imports {
                if cycle.contains(from) && cycle.contains(to) {
                    println!("    {from} imports {to}: {}", list(names));
                }
            }
        }
        if !upward.is_empty() {
            wrong.push(format!("{}: imports run up:\n  {}", self.root, upward.join("\n  ")));
        }
        let large: Vec<_> = cycles.iter().filter(|cycle| is_large(cycle)).collect();
        if !large.is_empty() {
            wrong.push(format!(
                "{}: files import each other in a cycle across folders, or more than {MOST} do:\n  {}",
                self.root,
                large.iter().map(|cycle| cycle.join(", ")).collect::<Vec<_>>().join("\n  ")
            ));
        }
        let homeless: Vec<_> =
            graph.files.iter().filter(|file| self.layer(file) == self.layers.len()).collect();
        if !homeless.is_empty() {
            wrong.push(format!("{}: files that no layer names: {homeless:?}", self.root));
        }
        wrong
    }
}

/// Whether a cycle is larger than it may be, or crosses folders.
fn is_large(cycle: &[String]) -> bool {
    let folders: BTreeSet<_> = cycle.iter().map(|file| Path::new(file).parent()).collect();
    cycle.len() > MOST || folders.len() > 1
}

fn list(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// A module: where it is, what it holds, and what it lends by other names.
struct Module {
    /// The file, by its path from the root's folder.
    file: String,
    /// Paths of what it imports or re-exports, by the name that it has here.
    aliases: BTreeMap<String, Vec<String>>,
    /// Modules all of whose names are here, too.
    globs: Vec<Vec<String>>,
    /// Paths of what is used here, absolute; not of re-exports.
    uses: Vec<Vec<String>>,
}

/// The files of a crate, and the names that one imports from another.
struct Graph {
    files: BTreeSet<String>,
    imports: BTreeMap<(String, String), BTreeSet<String>>,
}

impl Graph {
    fn read(root: &Path) -> Result<Self, Failure> {
        let folder = root.parent().unwrap_or(Path::new("."));
        let mut modules = BTreeMap::new();
        let source = fs::read_to_string(root)?;
        read(&source, root, folder, &mut Vec::new(), &mut modules)?;
        let mut graph = Self { files: BTreeSet::new(), imports: BTreeMap::new() };
        for module in modules.values() {
            graph.files.insert(module.file.clone());
            for path in &module.uses {
                let Some((to, name)) = define(path, &modules, 0) else { continue };
                if to != module.file {
                    let names = graph.imports.entry((module.file.clone(), to)).or_default();
                    names.insert(name);
                }
            }
        }
        Ok(graph)
    }

    /// Sets of several files of which each imports each, be it through others.
    fn cycles(&self) -> Vec<Vec<String>> {
        let reached: BTreeMap<&String, BTreeSet<&String>> =
            self.files.iter().map(|file| (file, self.reach(file))).collect();
        let mut cycles = BTreeSet::new();
        for file in &self.files {
            let mutual = reached[file].iter().filter(|other| reached[**other].contains(file));
            let cycle: Vec<String> = mutual.map(|other| (*other).clone()).collect();
            if cycle.len() > 1 {
                cycles.insert(cycle);
            }
        }
        cycles.into_iter().collect()
    }

    fn reach(&self, file: &String) -> BTreeSet<&String> {
        let (mut reached, mut next) = (BTreeSet::new(), vec![file]);
        while let Some(file) = next.pop() {
            let from_here = self.imports.keys().filter(|(from, _)| from == file);
            for (_, to) in from_here {
                if reached.insert(to) {
                    next.push(to);
                }
            }
        }
        reached
    }
}

/// The file that defines what a path names, and its name.
fn define(
    path: &[String],
    modules: &BTreeMap<Vec<String>, Module>,
    depth: usize,
) -> Option<(String, String)> {
    if depth > 16 {
        return None;
    }
    let length = (0..=path.len()).rev().find(|length| modules.contains_key(&path[..*length]))?;
    let module = &modules[&path[..length]];
    let Some(name) = path.get(length) else {
        return Some((module.file.clone(), path.last().cloned().unwrap_or_default()));
    };
    if let Some(target) = module.aliases.get(name) {
        let whole: Vec<_> = target.iter().chain(&path[length + 1..]).cloned().collect();
        return define(&whole, modules, depth + 1);
    }
    for glob in &module.globs {
        let whole: Vec<_> = glob.iter().chain(&path[length..]).cloned().collect();
        if let Some(found) = define(&whole, modules, depth + 1)
            && found.0 != module.file
        {
            return Some(found);
        }
    }
    Some((module.file.clone(), name.clone()))
}

/// Reads a module and those within it.
fn read(
    source: &str,
    file: &Path,
    folder: &Path,
    path: &mut Vec<String>,
    modules: &mut BTreeMap<Vec<String>, Module>,
) -> Result<(), Failure> {
    let parsed = syn::parse_file(source)
        .map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
    read_items(&parsed.items, file, folder, path, modules)
}

fn read_items(
    items: &[Item],
    file: &Path,
    folder: &Path,
    path: &mut Vec<String>,
    modules: &mut BTreeMap<Vec<String>, Module>,
) -> Result<(), Failure> {
    let name = file.strip_prefix(folder).unwrap_or(file).to_string_lossy().replace('\\', "/");
    let children: BTreeSet<String> = items
        .iter()
        .filter_map(|item| if let Item::Mod(module) = item { Some(module) } else { None })
        .map(|module| module.ident.to_string())
        .collect();
    let mut reader = Reader {
        path: path.clone(),
        children,
        module: Module {
            file: name,
            aliases: BTreeMap::new(),
            globs: Vec::new(),
            uses: Vec::new(),
        },
    };
    for item in items {
        match item {
            Item::Mod(module) if is_test(&module.attrs) => {}
            Item::Mod(module) => {
                path.push(module.ident.to_string());
                if let Some((_, items)) = &module.content {
                    read_items(items, file, folder, path, modules)?;
                } else {
                    let name = module.ident.to_string();
                    let below = find(file, &name).ok_or_else(|| {
                        Failure::new(format!("{}: no file of module `{name}`", file.display()))
                    })?;
                    read(&fs::read_to_string(&below)?, &below, folder, path, modules)?;
                }
                path.pop();
            }
            Item::Use(item) if !is_test(&item.attrs) => {
                let is_lent = !matches!(item.vis, Visibility::Inherited);
                reader.import(&item.tree, &mut Vec::new(), is_lent);
            }
            item => reader.visit_item(item),
        }
    }
    modules.insert(path.clone(), reader.module);
    Ok(())
}

/// Where a module of a file is.
fn find(file: &Path, module: &str) -> Option<PathBuf> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let stem = file.file_stem().unwrap_or_default();
    let is_root = ["lib", "main", "mod"].iter().any(|name| stem == *name);
    let folder = if is_root { folder.to_owned() } else { folder.join(stem) };
    let places = [folder.join(module).with_extension("rs"), folder.join(module).join("mod.rs")];
    places.into_iter().find(|place| place.is_file())
}

/// Whether something is there for tests alone.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_cfg = attribute.path().is_ident("cfg");
        is_cfg && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

/// Collects what the items of a module name.
struct Reader {
    path: Vec<String>,
    children: BTreeSet<String>,
    module: Module,
}

impl Reader {
    /// A path from the root of the crate; `None` if it begins in another crate, or with a name of this module.
    fn absolute(&self, segments: &[String]) -> Option<Vec<String>> {
        let (first, rest) = segments.split_first()?;
        let mut path = match &**first {
            "crate" => Vec::new(),
            "self" => self.path.clone(),
            "super" => self.path[..self.path.len().checked_sub(1)?].to_vec(),
            name if self.children.contains(name) => [&*self.path, &[name.to_owned()]].concat(),
            _ => return None,
        };
        for segment in rest {
            if segment == "super" {
                path.pop();
            } else if segment != "self" {
                path.push(segment.clone());
            }
        }
        Some(path)
    }

    fn import(&mut self, tree: &UseTree, before: &mut Vec<String>, is_lent: bool) {
        match tree {
            UseTree::Path(tree) => {
                before.push(tree.ident.to_string());
                self.import(&tree.tree, before, is_lent);
                before.pop();
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, before, is_lent);
                }
            }
            UseTree::Name(tree) => self.name(before, &tree.ident, &tree.ident, is_lent),
            UseTree::Rename(tree) => self.name(before, &tree.ident, &tree.rename, is_lent),
            UseTree::Glob(_) => {
                if let Some(path) = self.absolute(before) {
                    if !is_lent {
                        self.module.uses.push(path.clone());
                    }
                    self.module.globs.push(path);
                }
            }
        }
    }

    fn name(&mut self, before: &[String], name: &syn::Ident, here: &syn::Ident, is_lent: bool) {
        let whole = [before, &[name.to_string()]].concat();
        let Some(path) = self.absolute(&whole) else { return };
        let here = if here == "self" { before.last().cloned() } else { Some(here.to_string()) };
        if let Some(here) = here {
            self.module.aliases.insert(here, path.clone());
        }
        if !is_lent {
            self.module.uses.push(path);
        }
    }
}

impl Visit<'_> for Reader {
    fn visit_path(&mut self, path: &syn::Path) {
        let segments: Vec<_> =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments.len() > 1
            && let Some(path) = self.absolute(&segments)
        {
            self.module.uses.push(path);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        self.import(&item.tree, &mut Vec::new(), false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The imports of a crate, as `from > to: names`.
    fn imports(files: &[(&str, &str)]) -> (Graph, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        for (file, source) in files {
            let file = folder.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, source).unwrap();
        }
        let graph = Graph::read(&folder.path().join("lib.rs")).unwrap();
        let line = |((from, to), names): (&(String, String), &_)| {
            format!("{from} > {to}: {}", list(names))
        };
        let lines = graph.imports.iter().map(line).collect();
        (graph, lines)
    }

    #[test]
    fn name_that_is_re_exported_is_imported_from_its_file() {
        let (_, lines) = imports(&[
            (
                "lib.rs",
                "mod high; mod low; pub use high::High; pub use low::deep::Deep as Renamed;",
            ),
            ("high.rs", "use crate::{Renamed, low::Low}; pub struct High;"),
            ("low/mod.rs", "pub mod deep; pub struct Low;"),
            ("low/deep.rs", "pub struct Deep;"),
        ]);
        assert_eq!(lines, ["high.rs > low/deep.rs: Deep", "high.rs > low/mod.rs: Low"]);
    }

    #[test]
    fn path_in_code_is_an_import_and_tests_are_none() {
        let (_, lines) = imports(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "fn f() -> super::b::B { crate::b::make() }"),
            ("b.rs", "pub struct B; #[cfg(test)] mod tests { use crate::c::C; }"),
            ("c.rs", "pub struct C;"),
        ]);
        assert_eq!(lines, ["a.rs > b.rs: B, make"]);
    }

    #[test]
    fn upward_imports_and_cycles_across_folders_are_reported() {
        let layers =
            Layers { root: "lib.rs", layers: &[("high", &["high/"]), ("low", &["lib", "low"])] };
        let files = [
            ("lib.rs", "mod high; mod low;"),
            ("high/mod.rs", "use crate::low::Low; pub struct High;"),
            ("low.rs", "pub struct Low;"),
        ];
        let (graph, _) = imports(&files);
        assert_eq!(layers.report(&graph), [""; 0]);
        let (graph, _) =
            imports(&[files[0], files[1], ("low.rs", "use super::high::High; pub struct Low;")]);
        let wrong = layers.report(&graph);
        assert!(wrong[0].contains("low.rs imports high/mod.rs: High"), "{wrong:?}");
        assert!(wrong[1].contains("high/mod.rs, low.rs"), "{wrong:?}");
    }

    #[test]
    fn file_that_no_layer_names_is_reported() {
        let layers = Layers { root: "lib.rs", layers: &[("all", &["lib.rs", "a.rs"])] };
        let (graph, _) =
            imports(&[("lib.rs", "mod a; mod b;"), ("a.rs", ""), ("b.rs", "use crate::a;")]);
        let wrong = layers.report(&graph);
        assert!(wrong.iter().any(|wrong| wrong.contains("\"b.rs\"")), "{wrong:?}");
    }
}
