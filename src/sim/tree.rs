//! The file tree of an account. Sibling names may repeat: whether that is allowed is the
//! provider's rule, so its simulator asks [`Tree::find`] before it inserts.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::content::Blob;

/// A file or directory.
#[derive(Clone)]
pub struct Node {
    /// Id, unique in the tree.
    pub id: String,
    /// Parent's id; empty for a root.
    pub parent: String,
    /// Name as the user sees it.
    pub name: String,
    /// The content; `None` for a directory.
    pub blob: Option<Blob>,
    /// What is really stored when it differs from what the provider believes (`corrupt`).
    pub stored: Option<Blob>,
    /// Milliseconds since 1970.
    pub created: i64,
    /// Milliseconds since 1970.
    pub modified: i64,
    /// When it was put into the trash.
    pub trashed: Option<i64>,
    /// Exists already, but its upload is not complete.
    pub pending: bool,
    /// What else the provider keeps (pick code, claimed hash, star, ...).
    pub extra: BTreeMap<String, Value>,
}

impl Node {
    /// A directory.
    pub fn dir(id: &str, parent: &str, name: &str, now: i64) -> Node {
        Node {
            id: id.to_owned(),
            parent: parent.to_owned(),
            name: name.to_owned(),
            blob: None,
            stored: None,
            created: now,
            modified: now,
            trashed: None,
            pending: false,
            extra: BTreeMap::new(),
        }
    }

    /// A file.
    pub fn file(id: &str, parent: &str, name: &str, blob: Blob, now: i64) -> Node {
        Node {
            blob: Some(blob),
            ..Node::dir(id, parent, name, now)
        }
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.blob.is_none()
    }

    /// Size in bytes, 0 for a directory.
    pub fn size(&self) -> u64 {
        self.blob.as_ref().map_or(0, Blob::size)
    }

    /// The bytes a download gives.
    pub fn stored(&self) -> Option<&Blob> {
        self.stored.as_ref().or(self.blob.as_ref())
    }

    /// An extra text, empty when there is none.
    pub fn text(&self, key: &str) -> &str {
        self.extra.get(key).and_then(Value::as_str).unwrap_or("")
    }
}

#[derive(Default)]
struct Children {
    by_order: BTreeMap<u64, String>,
    by_name: HashMap<String, Vec<String>>,
}

/// Nodes by id under one or more roots.
pub struct Tree {
    roots: Vec<String>,
    nodes: HashMap<String, (u64, Node)>,
    children: HashMap<String, Children>,
    next: u64,
}

impl Tree {
    /// An empty tree. The first root is the one that paths start at; a provider with
    /// several spaces per account gives each a root.
    pub fn new(roots: &[&str]) -> Tree {
        let mut tree = Tree {
            roots: roots.iter().map(|id| (*id).to_owned()).collect(),
            nodes: HashMap::new(),
            children: HashMap::new(),
            next: 0,
        };
        for id in roots {
            tree.insert(Node::dir(id, "", "", 0));
        }
        tree
    }

    /// Id of the first root.
    pub fn root(&self) -> &str {
        self.roots.first().map_or("", String::as_str)
    }

    /// A node by id, in whatever state.
    pub fn get(&self, id: &str) -> Option<&Node> {
        self.nodes.get(id).map(|(_, node)| node)
    }

    /// A node that a user sees: not pending, and neither it nor a parent in the trash.
    pub fn live(&self, id: &str) -> Option<&Node> {
        let node = self.get(id)?;
        let mut at = node;
        loop {
            if at.pending || at.trashed.is_some() {
                return None;
            }
            if at.parent.is_empty() {
                return Some(node);
            }
            at = self.get(&at.parent)?;
        }
    }

    /// A live directory.
    pub fn live_dir(&self, id: &str) -> Option<&Node> {
        self.live(id).filter(|node| node.is_dir())
    }

    /// Changes a node in place. Name and parent are put back afterwards: see
    /// [`Tree::relocate`] for those.
    pub fn update(&mut self, id: &str, change: impl FnOnce(&mut Node)) -> bool {
        let Some((_, node)) = self.nodes.get_mut(id) else {
            return false;
        };
        let (parent, name) = (node.parent.clone(), node.name.clone());
        change(node);
        node.id = id.to_owned();
        node.parent = parent;
        node.name = name;
        true
    }

    /// Adds a node; one of the same id is replaced.
    pub fn insert(&mut self, node: Node) {
        self.detach(&node.id);
        let order = self.next;
        self.next += 1;
        let siblings = self.children.entry(node.parent.clone()).or_default();
        siblings.by_order.insert(order, node.id.clone());
        siblings
            .by_name
            .entry(node.name.clone())
            .or_default()
            .push(node.id.clone());
        self.nodes.insert(node.id.clone(), (order, node));
    }

    fn detach(&mut self, id: &str) -> Option<Node> {
        let (order, node) = self.nodes.remove(id)?;
        if let Some(siblings) = self.children.get_mut(&node.parent) {
            siblings.by_order.remove(&order);
            if let Some(same) = siblings.by_name.get_mut(&node.name) {
                same.retain(|other| other != id);
                if same.is_empty() {
                    siblings.by_name.remove(&node.name);
                }
            }
        }
        Some(node)
    }

    /// Renames and moves (same id). Refuses, with `false`, an unknown id and a move of a
    /// directory below itself.
    pub fn relocate(&mut self, id: &str, parent: &str, name: &str) -> bool {
        if self.roots.iter().any(|root| root == id) || self.is_below(parent, id) {
            return false;
        }
        let Some(mut node) = self.detach(id) else {
            return false;
        };
        node.parent = parent.to_owned();
        node.name = name.to_owned();
        self.insert(node);
        true
    }

    /// Whether `id` is `above` or lies below it.
    pub fn is_below(&self, id: &str, above: &str) -> bool {
        let mut at = id;
        loop {
            if at == above {
                return true;
            }
            match self.get(at) {
                Some(node) if !node.parent.is_empty() => at = &node.parent,
                _ => return false,
            }
        }
    }

    /// Id of the root above a node.
    pub fn root_of(&self, id: &str) -> Option<&str> {
        let mut node = self.get(id)?;
        while !node.parent.is_empty() {
            node = self.get(&node.parent)?;
        }
        Some(&node.id)
    }

    /// Removes a node and everything below it; answers how many that were.
    pub fn remove(&mut self, id: &str) -> usize {
        let below: Vec<String> = self
            .children
            .get(id)
            .map(|c| c.by_order.values().cloned().collect())
            .unwrap_or_default();
        let mut count = 0;
        for child in below {
            count += self.remove(&child);
        }
        self.children.remove(id);
        count + usize::from(self.detach(id).is_some())
    }

    /// All children in the order of their insertion, trashed and pending ones too.
    pub fn all_children(&self, parent: &str) -> impl Iterator<Item = &Node> {
        let siblings = self.children.get(parent);
        siblings
            .into_iter()
            .flat_map(|children| children.by_order.values())
            .filter_map(|id| self.get(id))
    }

    /// The children a listing shows: neither trashed nor pending.
    pub fn children(&self, parent: &str) -> impl Iterator<Item = &Node> {
        self.all_children(parent)
            .filter(|node| node.trashed.is_none() && !node.pending)
    }

    /// The children of this name that a listing shows.
    pub fn find(&self, parent: &str, name: &str) -> Vec<&Node> {
        let same = self
            .children
            .get(parent)
            .and_then(|children| children.by_name.get(name));
        same.into_iter()
            .flatten()
            .filter_map(|id| self.get(id))
            .filter(|node| node.trashed.is_none() && !node.pending)
            .collect()
    }

    /// The first free name of the form `name(1).ext`, or the name itself.
    pub fn free_name(&self, parent: &str, name: &str) -> String {
        if self.find(parent, name).is_empty() {
            return name.to_owned();
        }
        let (stem, ext) = match name.rfind('.') {
            Some(dot) if dot > 0 => name.split_at(dot),
            _ => (name, ""),
        };
        (1_u64..)
            .map(|n| format!("{stem}({n}){ext}"))
            .find(|free| self.find(parent, free).is_empty())
            .unwrap_or_else(|| name.to_owned())
    }

    /// The node at a path below the first root (`/a/b`, leading slash optional); with
    /// several of one name the first.
    pub fn resolve(&self, path: &str) -> Option<&Node> {
        self.resolve_from(self.root(), path)
    }

    /// The same below another node.
    pub fn resolve_from(&self, root: &str, path: &str) -> Option<&Node> {
        let mut at = self.get(root)?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            at = self.find(&at.id, name).into_iter().next()?;
        }
        Some(at)
    }

    /// Path of a node below its root (`/a/b`).
    pub fn path_of(&self, id: &str) -> String {
        let mut names = Vec::new();
        let mut at = self.get(id);
        while let Some(node) = at.filter(|node| !node.parent.is_empty()) {
            names.push(node.name.as_str());
            at = self.get(&node.parent);
        }
        names.reverse();
        format!("/{}", names.join("/"))
    }

    /// Every node but the roots, parents first, trashed and pending ones too; those whose
    /// parent does not exist (moved to nowhere) at the end.
    pub fn walk(&self) -> Vec<&Node> {
        let mut all = Vec::new();
        let known = |id: &str| id.is_empty() || self.nodes.contains_key(id);
        let nowhere = self.children.keys().filter(|id| !known(id));
        let mut todo: Vec<&str> = nowhere.map(String::as_str).collect();
        todo.extend(self.roots.iter().rev().map(String::as_str));
        while let Some(id) = todo.pop() {
            let start = todo.len();
            for child in self.all_children(id) {
                all.push(child);
                if child.is_dir() {
                    todo.push(&child.id);
                }
            }
            todo[start..].reverse();
        }
        all
    }

    /// Bytes held by all files, trashed ones too.
    pub fn used(&self) -> u64 {
        self.nodes.values().map(|(_, node)| node.size()).sum()
    }

    /// Copies a node and everything live below it to another place, with ids from `new_id`;
    /// answers the copy's id.
    pub fn copy(
        &mut self,
        id: &str,
        parent: &str,
        name: &str,
        now: i64,
        new_id: &mut dyn FnMut(bool) -> String,
    ) -> Option<String> {
        let source = self.get(id)?.clone();
        let children: Vec<(String, String)> = self
            .children(id)
            .map(|child| (child.id.clone(), child.name.clone()))
            .collect();
        let copy = Node {
            id: new_id(source.is_dir()),
            parent: parent.to_owned(),
            name: name.to_owned(),
            created: now,
            modified: now,
            trashed: None,
            ..source
        };
        let copy_id = copy.id.clone();
        self.insert(copy);
        for (child, child_name) in children {
            self.copy(&child, &copy_id, &child_name, now, new_id);
        }
        Some(copy_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(tree: &Tree, parent: &str) -> Vec<String> {
        tree.children(parent)
            .map(|node| node.name.clone())
            .collect()
    }

    #[test]
    fn paths_moves_and_trash() {
        let mut tree = Tree::new(&["root"]);
        tree.insert(Node::dir("d", "root", "docs", 1));
        tree.insert(Node::dir("e", "d", "old", 1));
        tree.insert(Node::file("f", "d", "a.txt", Blob::bytes("hi"), 1));
        tree.insert(Node::file("g", "d", "a.txt", Blob::bytes("hello"), 1));
        assert_eq!(tree.resolve("/docs/a.txt").unwrap().id, "f");
        assert_eq!(tree.find("d", "a.txt").len(), 2);
        assert_eq!(tree.free_name("d", "a.txt"), "a(1).txt");
        assert_eq!(tree.path_of("g"), "/docs/a.txt");
        assert!(!tree.relocate("d", "e", "loop"));
        assert!(tree.relocate("f", "root", "b.txt"));
        assert_eq!(names(&tree, "root"), ["docs", "b.txt"]);
        assert_eq!(tree.resolve("docs/a.txt").unwrap().id, "g");
        tree.update("d", |node| node.trashed = Some(2));
        assert!(tree.live("g").is_none() && tree.get("g").is_some());
        assert_eq!(tree.used(), 7);
        assert_eq!(tree.remove("d"), 3);
        assert_eq!(tree.walk().len(), 1);
    }

    #[test]
    fn copies_get_new_ids() {
        let mut tree = Tree::new(&["root"]);
        tree.insert(Node::dir("d", "root", "docs", 1));
        tree.insert(Node::file("f", "d", "a", Blob::bytes("x"), 1));
        let mut next = 0;
        let copy = tree.copy("d", "root", "docs2", 5, &mut |_| {
            next += 1;
            format!("n{next}")
        });
        assert_eq!(copy.as_deref(), Some("n1"));
        assert_eq!(tree.resolve("/docs2/a").unwrap().id, "n2");
        assert_eq!(tree.resolve("/docs/a").unwrap().id, "f");
    }
}
