# The methods of an exported module, except `forward`: TorchScript source that libtorch compiles at export. Text becomes ids
# and values exactly as in `fm_core::Encoder`. Values that depend on the schema are module attributes with one list entry per
# field, set in `attributes.rs`. Empty text is a missing value. Strings are indexed by byte.


# The version of this file format.
def _format(self) -> int:
    return 1


def schema(self) -> str:
    return self._schema


# Probabilities, or labels within the range of the training rows.
def predict(self, ids: Tensor, values: Tensor) -> Tensor:
    return self._prediction(self.forward(ids, values))


def score(self, rows: List[Dict[str, str]]) -> Tensor:
    ids, values = self.encode(rows)
    return self._score(ids, values)


def score_lists(self, rows: List[Dict[str, List[str]]]) -> Tensor:
    ids, values = self.encode_lists(rows)
    return self._score(ids, values)


def score_columns(self, columns: Dict[str, List[str]]) -> Tensor:
    ids, values = self.encode_columns(columns)
    return self._score(ids, values)


def encode(self, rows: List[Dict[str, str]]) -> Tuple[Tensor, Tensor]:
    columns: Dict[str, List[str]] = {}
    for name in self._names:
        columns[name] = [row.get(name, "") for row in rows]
    return self.encode_columns(columns)


# Each value is a list: of one text, or of any number of texts in a multi-valued field or a sequence.
def encode_lists(self, rows: List[Dict[str, List[str]]]) -> Tuple[Tensor, Tensor]:
    none: List[str] = []
    columns: Dict[str, List[str]] = {}
    for field, name in enumerate(self._names):
        column: List[str] = []
        for row in rows:
            texts = row.get(name, none)
            if len(self._separators[field]) > 0:
                column.append(self._separators[field].join(texts))
            elif len(texts) == 1:
                column.append(texts[0])
            else:
                column.append("")
        columns[name] = column
    return self.encode_columns(columns)


def encode_columns(self, columns: Dict[str, List[str]]) -> Tuple[Tensor, Tensor]:
    # Count columns that are not fields, too: a row can lack every field.
    rows = 0
    for at, name in enumerate(columns.keys()):
        length = len(columns[name])
        assert at == 0 or rows == length, "column {} has {} rows, another has {}".format(name, length, rows)
        rows = length
    ids: List[Tensor] = []
    values: List[Tensor] = []
    for field, name in enumerate(self._names):
        column = [""] * rows
        if name in columns:
            column = columns[name]
        if self._kinds[field] == 0:
            field_ids, field_values = self._encode_categorical(field, column)
        elif self._kinds[field] == 1:
            field_ids, field_values = self._encode_multi_valued(field, column)
        elif self._kinds[field] == 3:
            field_ids, field_values = self._encode_sequence(field, column)
        else:
            field_ids, field_values = self._encode_numeric(field, column)
        ids.append(field_ids)
        values.append(field_values)
    return torch.cat(ids, 1), torch.cat(values, 1)


# The k items of the catalogue with the highest scores for a user, and their scores, without those in `exclude` and those whose
# score is not finite. Ties keep the catalogue's order. Items are ranked by logit, because several predictions can be clamped to
# the highest label.
def recommend(
    self, user: Dict[str, str], k: int, exclude: Optional[List[str]] = None
) -> Tuple[List[str], Tensor]:
    assert len(self._items) > 0, "this file has no catalogue: export it again with one"
    device = self._item_slots.device
    positions = torch.arange(len(self._items), device=device)
    if exclude is not None and len(exclude) > 0:
        excluded: Dict[str, bool] = {}
        for item in exclude:
            excluded[item] = True
        kept: List[int] = []
        for position, item in enumerate(self._items):
            if item not in excluded:
                kept.append(position)
        positions = self._integers(kept).to(device)
    user_ids, user_values = self.encode([user])
    user_ids, user_values = user_ids.to(device), user_values.to(device)
    parts: List[Tensor] = []
    for rows in positions.split(4096):
        ids = user_ids.repeat(len(rows), 1).index_copy(1, self._item_slots, self._item_ids[rows].long())
        values = user_values.repeat(len(rows), 1).index_copy(1, self._item_slots, self._item_values[rows])
        parts.append(self.forward(ids, values).detach())
    # NaN would come first.
    logits = torch.cat(parts)
    is_finite = torch.isfinite(logits)
    positions = positions[is_finite]
    logits, order = torch.sort(logits[is_finite], stable=True, dim=0, descending=True)
    top = max(0, min(k, len(positions)))
    chosen: List[int] = positions[order[:top]].tolist()
    return [self._items[position] for position in chosen], self._prediction(logits[:top])


# `recommend` for callers that cannot pass a dictionary.
def _recommend(self, names: List[str], texts: List[str], k: int, exclude: List[str]) -> Tuple[List[str], Tensor]:
    user: Dict[str, str] = {}
    for name, text in zip(names, texts):
        user[name] = text
    return self.recommend(user, k, exclude)


# Without gradients, so that NumPy accepts the result. `predict` keeps them.
def _score(self, ids: Tensor, values: Tensor) -> Tensor:
    device = self._item_slots.device
    return self.predict(ids.to(device), values.to(device)).detach()


def _prediction(self, logits: Tensor) -> Tensor:
    if len(self._label_range) == 2:
        return logits.clamp(self._label_range[0], self._label_range[1])
    return torch.sigmoid(logits)


def _encode_categorical(self, field: int, column: List[str]) -> Tuple[Tensor, Tensor]:
    ids = self._integers([self._id(field, text) for text in column]).view(-1, 1)
    return ids, self._floats([1.0] * len(column)).view(-1, 1)


# Values with the same id share a slot. Values without a free slot are dropped and do not count for n.
def _encode_multi_valued(self, field: int, column: List[str]) -> Tuple[Tensor, Tensor]:
    width = self._widths[field]
    ids = [self._unknown_ids[field]] * (len(column) * width)
    sums = [0.0] * (len(column) * width)
    totals: List[float] = []
    for row, text in enumerate(column):
        slots: Dict[int, int] = {}
        n = 0
        pieces = self._pieces(field, text)
        if self._keeps_last[field] == 1:
            pieces.reverse()
        for piece in pieces:
            value, number = self._piece(field, piece)
            id = self._id(field, value)
            if id in slots:
                sums[slots[id]] += number
                n += 1
            elif len(slots) < width:
                slot = row * width + len(slots)
                slots[id] = slot
                ids[slot] = id
                sums[slot] = number
                n += 1
        totals.append(float(max(n, 1)))
    return self._integers(ids).view(-1, width), self._weighted(field, sums, totals)


# Each value has a slot, in the order of the text.
def _encode_sequence(self, field: int, column: List[str]) -> Tuple[Tensor, Tensor]:
    width = self._widths[field]
    ids = [self._unknown_ids[field]] * (len(column) * width)
    numbers = [0.0] * (len(column) * width)
    totals: List[float] = []
    for row, text in enumerate(column):
        pieces = self._pieces(field, text)
        first = 0
        if self._keeps_last[field] == 1:
            first = max(0, len(pieces) - width)
        kept = pieces[first : first + width]
        for at, piece in enumerate(kept):
            value, number = self._piece(field, piece)
            ids[row * width + at] = self._id(field, value)
            numbers[row * width + at] = number
        totals.append(float(max(len(kept), 1)))
    return self._integers(ids).view(-1, width), self._weighted(field, numbers, totals)


def _pieces(self, field: int, text: str) -> List[str]:
    pieces: List[str] = []
    for piece in text.split(self._separators[field]):
        if len(piece) > 0:
            pieces.append(piece)
    return pieces


# The value in a piece of a list, and the number that it adds to its slot before the weighting. If the weighting is
# Given and the text after the last `:` is not a number, the value is missing.
def _piece(self, field: int, piece: str) -> Tuple[str, float]:
    value, colon, given = piece.rpartition(":")
    if self._weightings[field] != 3 or len(colon) == 0:
        return piece, 1.0
    number = self._number(given)
    # False for NaN. TorchScript takes `number == number` for true.
    if abs(number) <= 1.7976931348623157e308:
        return value, number
    return "", 1.0


# The values of the slots of lists, from the sums of the numbers of each slot, and n of each row.
def _weighted(self, field: int, sums: List[float], totals: List[float]) -> Tensor:
    if self._weightings[field] == 3:
        # `MAX_GIVEN` of `number.rs`.
        sums = [max(-1000000.0, min(sum, 1000000.0)) for sum in sums]
    x = self._floats(sums).view(-1, self._widths[field])
    n_of_row = self._floats(totals).view(-1, 1)
    if self._weightings[field] == 1:
        x = x * (1.0 / n_of_row)
    elif self._weightings[field] == 2:
        x = x * (1.0 / n_of_row.sqrt())
    return x


def _encode_numeric(self, field: int, column: List[str]) -> Tuple[Tensor, Tensor]:
    numbers = [self._standardised(field, self._number(text)) for text in column]
    x = self._floats(numbers).view(-1, 1)
    is_there = torch.isfinite(x)
    return self._unknown_ids[field] + is_there.long(), x.where(is_there, torch.ones_like(x))


# In float64, unlike tensors; clamped to `MAX_DEVIATIONS` of `number.rs`. NaN stays NaN.
def _standardised(self, field: int, number: float) -> float:
    x = (number - self._means[field]) / self._stds[field]
    if x > 100.0:
        x = 100.0
    elif x < -100.0:
        x = -100.0
    return x


# Types are numbers, because `torch.int64` is not available when compiling without Python.
def _integers(self, numbers: List[int]) -> Tensor:
    return torch.tensor(numbers, dtype=4)


def _floats(self, numbers: List[float]) -> Tensor:
    return torch.tensor(numbers, dtype=6)


def _id(self, field: int, text: str) -> int:
    unknown = self._unknown_ids[field]
    if len(text) == 0:
        return unknown
    owner = self._owners[field]
    if self._hash_buckets[owner] > 0:
        return unknown + 1 + self._bucket(text, self._hash_buckets[owner])
    return self._indexes[owner].get(text, unknown)


# The number in a text, or NaN. It has its own parser, because `float` raises an error for other text and depends on the
# locale.
def _number(self, text: str) -> float:
    codes = self._bytes(text.strip(self._spaces))
    at = 0
    is_negative = False
    if len(codes) > 0 and (codes[0] == 43 or codes[0] == 45):
        is_negative = codes[0] == 45
        at = 1
    # The number is `digits`, with the point after its end, times ten to `exponent`.
    digits: List[str] = []
    exponent = 0
    has_digit, has_point, goes_on = False, False, True
    while goes_on and at < len(codes):
        code = codes[at]
        if code >= 48 and code <= 57:
            has_digit = True
            exponent -= int(has_point)
            if code > 48 or len(digits) > 0:
                digits.append(chr(code))
            at += 1
        elif code == 46 and not has_point:
            has_point = True
            at += 1
        else:
            goes_on = False
    is_number = has_digit
    if at < len(codes):
        is_number = is_number and (codes[at] == 69 or codes[at] == 101)
        at += 1
        sign = 1
        if at < len(codes) and (codes[at] == 43 or codes[at] == 45):
            sign = 44 - codes[at]
            at += 1
        is_number = is_number and at < len(codes)
        power = 0
        while is_number and at < len(codes):
            is_number = codes[at] >= 48 and codes[at] <= 57
            power = min(power * 10 + codes[at] - 48, 1000000)
            at += 1
        exponent += sign * power
    number = float("nan")
    # `float` raises an error for numbers that are too small or too great for a normal float64.
    magnitude = len(digits) + exponent
    if is_number and (len(digits) == 0 or magnitude < -300):
        number = 0.0
    elif is_number and magnitude < 309:
        number = float("".join(digits) + "e" + str(exponent))
    elif is_number and magnitude == 309:
        number = float("".join(digits) + "e" + str(exponent - 1)) * 10.0
    # Infinity, and what `number.rs` takes for 0.
    if number > 1.7976931348623157e308:
        number = float("nan")
    elif number < 1e-300:
        number = 0.0
    return -number if is_negative else number


def _bytes(self, text: str) -> List[int]:
    return [ord(byte) for byte in list(text)]


# FarmHash's 64-bit fingerprint, as in `farmhash.rs`, modulo the number of buckets. Integers are signed and wrap around.
def _bucket(self, text: str, buckets: int) -> int:
    bytes = self._bytes(text)
    if len(bytes) <= 16:
        hash = self._hash_up_to_16(bytes)
    elif len(bytes) <= 32:
        hash = self._hash_up_to_32(bytes)
    elif len(bytes) <= 64:
        hash = self._hash_up_to_64(bytes)
    else:
        hash = self._hash_over_64(bytes)
    upper = (hash >> 1) & 9223372036854775807
    return (upper % buckets * 2 + (hash & 1)) % buckets


def _hash_up_to_16(self, bytes: List[int]) -> int:
    k0, k2 = -4348849565147123417, -7286425919675154353
    n = len(bytes)
    factor = k2 + 2 * n
    if n >= 8:
        a, b = self._word(bytes, 0) + k2, self._word(bytes, n - 8)
        return self._mix(self._rotate(b, 37) * factor + a, (self._rotate(a, 25) + b) * factor, factor)
    if n >= 4:
        return self._mix(n + (self._half_word(bytes, 0) << 3), self._half_word(bytes, n - 4), factor)
    y, z = bytes[0] + (bytes[n // 2] << 8), n + (bytes[n - 1] << 2)
    return self._shift_mix(y * k2 ^ z * k0) * k2


def _hash_up_to_32(self, bytes: List[int]) -> int:
    k1, k2 = -5435081209227447693, -7286425919675154353
    n = len(bytes)
    factor = k2 + 2 * n
    a, b = self._word(bytes, 0) * k1, self._word(bytes, 8)
    c, d = self._word(bytes, n - 8) * factor, self._word(bytes, n - 16) * k2
    u = self._rotate(a + b, 43) + self._rotate(c, 30) + d
    return self._mix(u, a + self._rotate(b + k2, 18) + c, factor)


def _hash_up_to_64(self, bytes: List[int]) -> int:
    k2 = -7286425919675154353
    n = len(bytes)
    factor = k2 + 2 * n
    a, b = self._word(bytes, 0) * k2, self._word(bytes, 8)
    c, d = self._word(bytes, n - 8) * factor, self._word(bytes, n - 16) * k2
    y = self._rotate(a + b, 43) + self._rotate(c, 30) + d
    z = self._mix(y, a + self._rotate(b + k2, 18) + c, factor)
    e, f = self._word(bytes, 16) * factor, self._word(bytes, 24)
    g, h = (y + self._word(bytes, n - 32)) * factor, (z + self._word(bytes, n - 24)) * factor
    u = self._rotate(e + f, 43) + self._rotate(g, 30) + h
    return self._mix(u, e + self._rotate(f + a, 18) + g, factor)


def _hash_over_64(self, bytes: List[int]) -> int:
    k0, k1, k2 = -4348849565147123417, -5435081209227447693, -7286425919675154353
    n = len(bytes)
    y = 81 * k1 + 113
    x = 81 * k2 + self._word(bytes, 0)
    z = self._shift_mix(y * k2 + 113) * k2
    v0, v1, w0, w1 = 0, 0, 0, 0
    # The last block is the last 64 bytes, which can overlap with the block before. It has its own weights.
    blocks = (n - 1) // 64
    factor, weight = k1, 1
    for block in range(blocks + 1):
        at = block * 64
        if block == blocks:
            at = n - 64
            factor, weight = k1 + ((z & 255) << 1), 9
            w0 += (n - 1) % 64
            v0 += w0
            w0 += v0
        x = self._rotate(x + y + v0 + self._word(bytes, at + 8), 37) * factor
        y = self._rotate(y + v1 + self._word(bytes, at + 48), 42) * factor
        x = x ^ w1 * weight
        y += v0 * weight + self._word(bytes, at + 40)
        z = self._rotate(z + w0, 33) * factor
        v0, v1 = self._weak_hash(bytes, at, v1 * factor, x + w0)
        w0, w1 = self._weak_hash(bytes, at + 32, z + w1, y + self._word(bytes, at + 16))
        x, z = z, x
    u = self._mix(v0, w0, factor) + self._shift_mix(y) * k0 + z
    return self._mix(u, self._mix(v1, w1, factor) + x, factor)


def _weak_hash(self, bytes: List[int], at: int, a: int, b: int) -> Tuple[int, int]:
    start = a + self._word(bytes, at)
    sum = start + self._word(bytes, at + 8) + self._word(bytes, at + 16)
    last = self._word(bytes, at + 24)
    return sum + last, self._rotate(b + start + last, 21) + self._rotate(sum, 44) + start


def _mix(self, u: int, v: int, factor: int) -> int:
    a = self._shift_mix((u ^ v) * factor)
    return self._shift_mix((v ^ a) * factor) * factor


def _shift_mix(self, word: int) -> int:
    return word ^ ((word >> 47) & 131071)


def _rotate(self, word: int, bits: int) -> int:
    return ((word >> bits) & ((1 << (64 - bits)) - 1)) | (word << (64 - bits))


def _word(self, bytes: List[int], at: int) -> int:
    return self._half_word(bytes, at) | (self._half_word(bytes, at + 4) << 32)


def _half_word(self, bytes: List[int], at: int) -> int:
    return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)
