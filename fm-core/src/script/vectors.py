# The methods of a module whose score is an inner product. The logit of a user and an item is that of their vectors, plus a
# constant for each user.


# `[B, d]`: the vector of each user, given the columns of the user and the context. Others are ignored.
def user_vectors(self, rows: List[Dict[str, str]]) -> Tensor:
    ids, values = self.encode(rows)
    return self._user_vectors(ids, values)


# `[B, d]`: the vector of each item, given the columns of the item. Others are ignored.
def item_vectors(self, rows: List[Dict[str, str]]) -> Tensor:
    ids, values = self.encode(rows)
    return self._item_vectors(ids, values)


def _user_vectors(self, ids: Tensor, values: Tensor) -> Tensor:
    slots = self._item_slots
    with NoGrad():
        return self._of_users(ids.to(slots.device), values.to(slots.device).index_fill(1, slots, 0.0))


def _item_vectors(self, ids: Tensor, values: Tensor) -> Tensor:
    slots = self._item_slots
    values = values.to(slots.device)
    of_items = torch.zeros_like(values).index_copy(1, slots, values.index_select(1, slots))
    with NoGrad():
        return self._of_items(ids.to(slots.device), of_items)
