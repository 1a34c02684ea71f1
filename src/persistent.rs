//! A list whose versions share what they have in common: a copy costs one pointer, a change of a copy the path to one
//! item.
//!
//! ```text
//!   root ──▶ branch: ≤ 64 × (count, child) ──▶ branch … ──▶ leaf: ≤ 64 items
//! ```
//!
//! A B-tree by position: each branch counts the items below each child. A node that no other version holds is changed
//! in place, so that filling a list item by item costs no copies. Knows nothing of what it holds.

use std::cmp::Ordering;
use std::slice;
use std::sync::Arc;

/// The most items of a leaf, and the most children of a branch.
const NODE_MAX: usize = 64;

/// A persistent list. Copies share their nodes.
#[derive(Clone, Debug)]
pub struct List<T> {
    root: Child<T>,
}

/// A node, and how many items are in it and below it.
#[derive(Clone, Debug)]
struct Child<T> {
    count: usize,
    node: Arc<Node<T>>,
}

/// One node of the tree. All leaves are at one depth; only the root may be empty.
#[derive(Clone, Debug)]
enum Node<T> {
    Leaf(Vec<T>),
    Branch(Vec<Child<T>>),
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { root: Child { count: 0, node: Arc::new(Node::Leaf(Vec::new())) } }
    }
}

impl<T> List<T> {
    /// How many items there are.
    pub fn len(&self) -> usize {
        self.root.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.root.count == 0
    }

    /// The item at a position.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.iter_from(index).next()
    }

    /// All items.
    pub fn iter(&self) -> Iter<'_, T> {
        self.iter_from(0)
    }

    /// The items from a position on; none from behind the end. Cost: the path to the first.
    pub fn iter_from(&self, index: usize) -> Iter<'_, T> {
        let mut iter = Iter { branches: Vec::new(), leaf: [].iter() };
        iter.descend(&self.root, index.min(self.len()));
        iter
    }

    /// Where an item is, or else where it would be, in a list that is in the order in which `compare` sees its items:
    /// as [`slice::binary_search_by`].
    pub fn search(&self, compare: impl Fn(&T) -> Ordering) -> Result<usize, usize> {
        // Most lists are filled in their order.
        if self.root.last().is_none_or(|last| compare(last) == Ordering::Less) {
            return Err(self.len());
        }
        let (mut node, mut before) = (&*self.root.node, 0);
        loop {
            match node {
                Node::Leaf(items) => {
                    let found = items.binary_search_by(&compare);
                    return found.map(|at| before + at).map_err(|at| before + at);
                }
                Node::Branch(children) => {
                    let at = children[1..].partition_point(|child| compare(child.first()) != Ordering::Greater);
                    before += children[..at].iter().map(|child| child.count).sum::<usize>();
                    node = &children[at].node;
                }
            }
        }
    }
}

impl<T> FromIterator<T> for List<T> {
    /// Takes items in their order, without a search for each: every node but the last ones is full.
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let leaf = |items: Vec<T>| Child { count: items.len(), node: Arc::new(Node::Leaf(items)) };
        let branch = |children: Vec<Child<T>>| {
            let count = children.iter().map(|child| child.count).sum();
            Child { count, node: Arc::new(Node::Branch(children)) }
        };
        let mut level = in_nodes(items, leaf);
        while level.len() > 1 {
            level = in_nodes(level, branch);
        }
        level.pop().map_or_else(Self::default, |root| Self { root })
    }
}

/// Nodes of [`NODE_MAX`] items each, the last with what is left.
fn in_nodes<I, C>(items: impl IntoIterator<Item = I>, node: impl Fn(Vec<I>) -> C) -> Vec<C> {
    let mut rest = items.into_iter().peekable();
    let mut nodes = Vec::new();
    while rest.peek().is_some() {
        nodes.push(node(rest.by_ref().take(NODE_MAX).collect()));
    }
    nodes
}

impl<T: Clone> List<T> {
    /// Puts an item in front of the one at a position, or at the end.
    ///
    /// # Panics
    /// If the position is behind the end.
    pub fn insert(&mut self, index: usize, item: T) {
        if let Some(right) = self.root.insert(index, item) {
            let children = vec![self.root.clone(), right];
            self.root = Child { count: self.len() + children[1].count, node: Arc::new(Node::Branch(children)) };
        }
    }

    /// Puts an item instead of another, which is returned.
    ///
    /// # Panics
    /// If there is no such position.
    pub fn replace(&mut self, index: usize, item: T) -> T {
        let (mut child, mut index) = (&mut self.root, index);
        loop {
            match Arc::make_mut(&mut child.node) {
                Node::Leaf(items) => return std::mem::replace(&mut items[index], item),
                Node::Branch(children) => {
                    let at = child_of(children, &mut index);
                    child = &mut children[at];
                }
            }
        }
    }

    /// Takes an item out.
    ///
    /// # Panics
    /// If there is no such position.
    pub fn remove(&mut self, index: usize) -> T {
        let item = self.root.remove(index);
        // An only child becomes what its parent was, so that the tree gets lower as well.
        while let Node::Branch(children) = &*self.root.node
            && let [only] = &children[..]
        {
            self.root = only.clone();
        }
        item
    }
}

/// The child in which the item at `index` is, which becomes its position there.
fn child_of<T>(children: &[Child<T>], index: &mut usize) -> usize {
    let is_before = |child: &&Child<T>| {
        let is_before = *index >= child.count;
        *index -= if is_before { child.count } else { 0 };
        is_before
    };
    children.iter().take_while(is_before).count()
}

impl<T> Child<T> {
    /// The first item. There is one: only the root may be empty, and only as a leaf.
    fn first(&self) -> &T {
        match &*self.node {
            Node::Leaf(items) => &items[0],
            Node::Branch(children) => children[0].first(),
        }
    }

    /// The last item.
    fn last(&self) -> Option<&T> {
        match &*self.node {
            Node::Leaf(items) => items.last(),
            Node::Branch(children) => children.last()?.last(),
        }
    }
}

impl<T: Clone> Child<T> {
    /// Inserts an item. What does not fit becomes a node of its own to the right, which is returned.
    fn insert(&mut self, index: usize, item: T) -> Option<Self> {
        let node = Arc::make_mut(&mut self.node);
        self.count += 1;
        let right = match node {
            Node::Leaf(items) => {
                items.insert(index, item);
                Node::Leaf(split(items, index)?)
            }
            Node::Branch(children) => {
                // At the end of one child rather than at the start of the next, so that there always is one.
                let mut inner = index.saturating_sub(1);
                let at = child_of(children, &mut inner);
                let new = children[at].insert(inner + usize::from(index > 0), item)?;
                children.insert(at + 1, new);
                Node::Branch(split(children, at + 1)?)
            }
        };
        let count = match &right {
            Node::Leaf(items) => items.len(),
            Node::Branch(children) => children.iter().map(|child| child.count).sum(),
        };
        self.count -= count;
        Some(Self { count, node: Arc::new(right) })
    }

    /// Takes an item out, and a child that has become empty with it.
    fn remove(&mut self, mut index: usize) -> T {
        self.count -= 1;
        match Arc::make_mut(&mut self.node) {
            Node::Leaf(items) => items.remove(index),
            Node::Branch(children) => {
                let at = child_of(children, &mut index);
                let item = children[at].remove(index);
                if children[at].count == 0 {
                    children.remove(at);
                }
                item
            }
        }
    }
}

/// Takes off what is too much after something was put in at `at`: half, or only the last where a list is filled from
/// its end.
fn split<I>(items: &mut Vec<I>, at: usize) -> Option<Vec<I>> {
    let is_full = items.len() > NODE_MAX;
    is_full.then(|| items.split_off(if at == NODE_MAX { NODE_MAX } else { items.len() / 2 }))
}

/// Items in their order.
#[derive(Debug)]
pub struct Iter<'a, T> {
    /// What is yet to come of each branch on the path.
    branches: Vec<slice::Iter<'a, Child<T>>>,
    /// What is yet to come of the leaf.
    leaf: slice::Iter<'a, T>,
}

impl<'a, T> Iter<'a, T> {
    /// Goes down to the item at `index` below a child.
    fn descend(&mut self, mut child: &'a Child<T>, mut index: usize) {
        loop {
            match &*child.node {
                Node::Leaf(items) => {
                    self.leaf = items[index..].iter();
                    return;
                }
                Node::Branch(children) => {
                    let at = child_of(children, &mut index);
                    let mut rest = children[at..].iter();
                    let Some(next) = rest.next() else { return };
                    self.branches.push(rest);
                    child = next;
                }
            }
        }
    }
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        loop {
            if let Some(item) = self.leaf.next() {
                return Some(item);
            }
            match self.branches.last_mut()?.next() {
                Some(child) => self.descend(child, 0),
                None => drop(self.branches.pop()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Checks every promise about one list against a plain one.
    fn assert_same(list: &List<u32>, model: &[u32]) {
        assert_eq!((list.len(), list.is_empty()), (model.len(), model.is_empty()));
        assert!(list.iter().eq(model), "{list:?}");
        for index in [0, model.len() / 3, model.len().saturating_sub(1), model.len(), model.len() + 9] {
            assert_eq!(list.get(index), model.get(index));
            assert!(list.iter_from(index).eq(model.iter().skip(index)));
        }
    }

    proptest! {
        #[test]
        fn a_list_is_what_a_plain_one_is_and_older_versions_stay(
            steps in proptest::collection::vec((0_u8..8, any::<u32>()), 0..1500),
        ) {
            let (mut list, mut model) = (List::default(), Vec::new());
            let mut versions = Vec::new();
            for (number, (step, at)) in steps.into_iter().enumerate() {
                let index = at as usize % model.len().max(1);
                match step {
                    0 | 1 if !model.is_empty() => assert_eq!(list.remove(index), model.remove(index)),
                    2 if !model.is_empty() => {
                        assert_eq!(list.replace(index, at), std::mem::replace(&mut model[index], at));
                    }
                    3 => {
                        list.insert(model.len(), at);
                        model.push(at);
                    }
                    _ => {
                        list.insert(index, at);
                        model.insert(index, at);
                    }
                }
                if number % 97 == 0 {
                    versions.push((list.clone(), model.clone()));
                }
            }
            versions.push((list, model));
            versions.iter().for_each(|(list, model)| assert_same(list, model));
        }

        #[test]
        fn a_sorted_list_is_searched_as_a_slice_is(numbers in proptest::collection::btree_set(0_u32..20_000, 0..800)) {
            let sorted: Vec<u32> = numbers.into_iter().collect();
            assert_same(&sorted.iter().copied().collect(), &sorted);
            let mut list = List::default();
            for number in sorted.iter().rev() {
                list.insert(0, *number);
            }
            for key in (0..20_000).step_by(7) {
                assert_eq!(list.search(|item| item.cmp(&key)), sorted.binary_search(&key));
            }
        }
    }

    #[test]
    fn a_change_of_a_big_list_copies_a_path_and_nothing_else() {
        /// An item that counts its copies.
        struct Item<'a>(&'a std::cell::Cell<usize>);
        impl Clone for Item<'_> {
            fn clone(&self) -> Self {
                self.0.set(self.0.get() + 1);
                Self(self.0)
            }
        }
        let copies = std::cell::Cell::new(0);
        let mut list = List::default();
        for index in 0..100_000 {
            list.insert(index, Item(&copies));
        }
        assert_eq!(copies.get(), 0, "what nobody shares is changed in place");
        let before = list.clone();
        list.replace(50_000, Item(&copies));
        assert!(copies.get() <= NODE_MAX, "{}", copies.get());
        list.remove(70_000);
        list.insert(20_000, Item(&copies));
        assert!(copies.get() <= 3 * NODE_MAX, "{}", copies.get());
        assert_eq!((before.len(), list.len()), (100_000, 100_000));
    }
}
