# The methods of an exported module, except `forward`: TorchScript source that libtorch compiles at export. Text becomes ids
# and values exactly as in `fm_core::Encoder`. Values that depend on the schema are module attributes with one list entry per
# field, set in `attributes.rs`. Empty text is a missing value. Strings are indexed by byte.
#
# All methods but `forward` run without gradients: a graph that was optimised for gradients fails in inference mode.


# The version of this file format.
def _format(self) -> int:
    return 2


def schema(self) -> str:
    return self._schema


# Probabilities, or labels within the range of the training rows.
def predict(self, ids: Tensor, values: Tensor) -> Tensor:
    with NoGrad():
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
    for name in self._inputs:
        columns[name] = [row.get(name, "") for row in rows]
    return self.encode_columns(columns)


# Each value is a list: of one text, or of any number of texts in a multi-valued field or a sequence.
def encode_lists(self, rows: List[Dict[str, List[str]]]) -> Tuple[Tensor, Tensor]:
    none: List[str] = []
    columns: Dict[str, List[str]] = {}
    for name in self._inputs:
        columns[name] = [self._only(row.get(name, none)) for row in rows]
    ids: List[Tensor] = []
    values: List[Tensor] = []
    for field, name in enumerate(self._columns):
        if len(self._separators[field]) > 0:
            lists = [self._pieces_of(field, row.get(name, none)) for row in rows]
            field_ids, field_values = self._encode_list(field, lists)
        else:
            field_ids, field_values = self._encode_text(field, self._texts(field, columns, len(rows)))
        ids.append(field_ids)
        values.append(field_values)
    return torch.cat(ids, 1), torch.cat(values, 1)


def encode_columns(self, columns: Dict[str, List[str]]) -> Tuple[Tensor, Tensor]:
    # Count columns that are not fields, too: a row can lack every field.
    rows = 0
    for at, name in enumerate(columns.keys()):
        length = len(columns[name])
        assert at == 0 or rows == length, "column {} has {} rows, another has {}".format(name, length, rows)
        rows = length
    ids: List[Tensor] = []
    values: List[Tensor] = []
    for field in range(len(self._columns)):
        texts = self._texts(field, columns, rows)
        if len(self._separators[field]) > 0:
            field_ids, field_values = self._encode_list(field, [self._pieces(field, text) for text in texts])
        else:
            field_ids, field_values = self._encode_text(field, texts)
        ids.append(field_ids)
        values.append(field_values)
    return torch.cat(ids, 1), torch.cat(values, 1)


# What the model cannot use: for each field the number of values that are unknown, missing or malformed, and for each name that
# no field reads the number of rows that have it. In a list, each value counts, and a list without values is one missing value.
def check(self, rows: List[Dict[str, str]]) -> Tuple[Dict[str, Dict[str, int]], Dict[str, int]]:
    fields: Dict[str, Dict[str, int]] = {}
    for field, name in enumerate(self._names):
        unknown, missing, malformed = 0, 0, 0
        for row in rows:
            columns: Dict[str, List[str]] = {}
            for column, text in row.items():
                columns[column] = [text]
            of_row = self._faults(field, self._texts(field, columns, 1)[0])
            # A time that cannot be read is not missing.
            raw = self._present(row.get(self._columns[field], ""))
            if of_row[1] == 1 and self._times[field] > 0 and len(raw.strip(self._spaces)) > 0:
                of_row = (0, 0, 1)
            unknown += of_row[0]
            missing += of_row[1]
            malformed += of_row[2]
        fields[name] = {"unknown": unknown, "missing": missing, "malformed": malformed}
    foreign: Dict[str, int] = {}
    for row in rows:
        for name in row.keys():
            if name not in self._inputs:
                foreign[name] = foreign.get(name, 0) + 1
    return fields, foreign


# How many values of a text are unknown, missing and malformed.
def _faults(self, field: int, text: str) -> Tuple[int, int, int]:
    unknown, malformed = 0, 0
    if len(self._separators[field]) > 0:
        pieces = self._pieces(field, text)
        for piece in pieces:
            value, _ = self._piece(field, piece)
            if len(self._value(field, value)) == 0:
                malformed += 1
            elif self._id(field, value) == self._unknown_ids[field]:
                unknown += 1
        return unknown, int(len(pieces) == 0), malformed
    if len(self._value(field, text)) == 0:
        return 0, 1, 0
    if self._kinds[field] == 2 or self._kinds[field] == 4:
        number = self._number(text)
        return 0, 0, int(not (number < 1.0 or number > 0.0))
    return int(self._id(field, text) == self._unknown_ids[field]), 0, 0


# The k items of the catalogue with the highest scores for a user, and their scores, without those in `exclude` and those whose
# score is not finite. Ties keep the catalogue's order. Scores are predictions that are not clamped to the range of labels, at
# whose end several items would be equal.
def recommend(
    self, user: Dict[str, str], k: int, exclude: Optional[List[str]] = None
) -> Tuple[List[str], Tensor]:
    assert len(self._items) > 0, "this file has no catalogue: export it again with one"
    device = self._item_slots.device
    positions = torch.arange(len(self._items), device=device)
    if exclude is not None and len(exclude) > 0:
        excluded: Dict[str, bool] = {}
        for item in exclude:
            excluded[self._value(self._item_field[0], item)] = True
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
        with NoGrad():
            parts.append(self.forward(ids, values))
    # NaN would come first.
    logits = torch.cat(parts)
    is_finite = torch.isfinite(logits)
    positions = positions[is_finite]
    logits, order = torch.sort(logits[is_finite], stable=True, dim=0, descending=True)
    top = max(0, min(k, len(positions)))
    chosen: List[int] = positions[order[:top]].tolist()
    return [self._items[position] for position in chosen], self._unclamped(logits[:top])


# `recommend` for callers that cannot pass a dictionary.
def _recommend(self, names: List[str], texts: List[str], k: int, exclude: List[str]) -> Tuple[List[str], Tensor]:
    user: Dict[str, str] = {}
    for name, text in zip(names, texts):
        user[name] = text
    return self.recommend(user, k, exclude)


def _score(self, ids: Tensor, values: Tensor) -> Tensor:
    device = self._item_slots.device
    return self.predict(ids.to(device), values.to(device))


def _prediction(self, logits: Tensor) -> Tensor:
    if len(self._label_range) == 2:
        return self._unclamped(logits).clamp(self._label_range[0], self._label_range[1])
    return self._unclamped(logits)


def _unclamped(self, logits: Tensor) -> Tensor:
    if len(self._label_range) == 2:
        largest = 3.4028234663852886e38
        return (logits * self._label_scale[0]).clamp(-largest, largest)
    return torch.sigmoid(logits)


# A field whose texts have one value each.
def _encode_text(self, field: int, column: List[str]) -> Tuple[Tensor, Tensor]:
    if self._kinds[field] == 0:
        return self._encode_categorical(field, column)
    if len(self._null_values) > 0 and self._times[field] == 0:
        column = [self._present(text) for text in column]
    if self._kinds[field] == 4:
        return self._encode_buckets(field, column)
    return self._encode_numeric(field, column)


# A field whose texts are lists, given the pieces of each.
def _encode_list(self, field: int, lists: List[List[str]]) -> Tuple[Tensor, Tensor]:
    if self._kinds[field] == 1:
        return self._encode_multi_valued(field, lists)
    return self._encode_sequence(field, lists)


def _encode_categorical(self, field: int, column: List[str]) -> Tuple[Tensor, Tensor]:
    ids = self._integers([self._id(field, text) for text in column]).view(-1, 1)
    return ids, self._floats([1.0] * len(column)).view(-1, 1)


# Values with the same id share a slot. Values without a free slot are dropped and do not count for n.
def _encode_multi_valued(self, field: int, lists: List[List[str]]) -> Tuple[Tensor, Tensor]:
    width = self._widths[field]
    ids = [self._unknown_ids[field]] * (len(lists) * width)
    sums = [0.0] * (len(lists) * width)
    totals: List[float] = []
    for row, pieces in enumerate(lists):
        slots: Dict[int, int] = {}
        n = 0
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
def _encode_sequence(self, field: int, lists: List[List[str]]) -> Tuple[Tensor, Tensor]:
    width = self._widths[field]
    ids = [self._unknown_ids[field]] * (len(lists) * width)
    numbers = [0.0] * (len(lists) * width)
    totals: List[float] = []
    for row, pieces in enumerate(lists):
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


# The pieces of several texts, one after another.
def _pieces_of(self, field: int, texts: List[str]) -> List[str]:
    pieces: List[str] = []
    for text in texts:
        pieces.extend(self._pieces(field, text))
    return pieces


# The pieces of a list that are not missing values: those of a JSON or Python list, or else those between separators.
def _pieces(self, field: int, text: str) -> List[str]:
    pieces: List[str] = []
    if self._is_null(text):
        return pieces
    all, is_list = pieces, False
    if self._exact[field] == 0 and text.find("[") >= 0:
        all, is_list = self._bracketed(text)
    if not is_list:
        all = text.split(self._separators[field])
    for piece in all:
        if len(self._value(field, piece)) > 0:
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
    numbers = [self._scaled(field, self._number(text)) for text in column]
    x = self._floats(numbers).view(-1, 1)
    is_there = torch.isfinite(x)
    return self._unknown_ids[field] + is_there.long(), x.where(is_there, torch.ones_like(x))


# `Scale` of `number.rs`, in float64, unlike tensors. NaN stays NaN.
def _scaled(self, field: int, number: float) -> float:
    if self._curves[field] == 1:
        if number < 0.0:
            number = -torch.log1p(-number)
        else:
            number = torch.log1p(number)
    x = (number - self._centres[field]) / self._units[field]
    if self._curves[field] >= 2:
        if x > 1000000.0:
            x = 1000000.0
        elif x < -1000000.0:
            x = -1000000.0
        x = 6.283185307179586 * x
        x = torch.sin(x) if self._curves[field] == 2 else torch.cos(x)
    if x > self._highs[field]:
        x = self._highs[field]
    elif x < self._lows[field]:
        x = self._lows[field]
    return x


# A number in buckets.
def _encode_buckets(self, field: int, column: List[str]) -> Tuple[Tensor, Tensor]:
    ids: List[int] = []
    for text in column:
        ids.append(self._unknown_ids[field] + self._place(field, self._number(text)))
    return self._integers(ids).view(-1, 1), self._floats([1.0] * len(column)).view(-1, 1)


# The place of the bucket of a number among the ids of its field; 0 for NaN. It is after the edges that the number reaches.
def _place(self, field: int, number: float) -> int:
    first = self._first_edges[field]
    low, high = first, self._first_edges[field + 1]
    if not (number < 1.0 or number > 0.0):
        return 0
    while low < high:
        middle = (low + high) // 2
        if self._edges[middle] <= number:
            low = middle + 1
        else:
            high = middle
    return 1 + low - first


# Types are numbers, because `torch.int64` is not available when compiling without Python.
def _integers(self, numbers: List[int]) -> Tensor:
    return torch.tensor(numbers, dtype=4)


def _floats(self, numbers: List[float]) -> Tensor:
    return torch.tensor(numbers, dtype=6)


def _id(self, field: int, text: str) -> int:
    unknown = self._unknown_ids[field]
    owner = self._owners[field]
    # Vocabularies hold canonical values only.
    id = self._indexes[owner].get(text, unknown)
    if id != unknown or len(text) == 0:
        return id
    value = self._value(field, text)
    if len(value) > 0 and self._hash_buckets[owner] > 0:
        return unknown + 1 + self._bucket(value, self._hash_buckets[owner])
    return self._indexes[owner].get(value, unknown)


# The value in a text as in `fm_core::encoder::Reading`; empty if it is missing. Null values are those of columns.
def _value(self, field: int, text: str) -> str:
    value = self._canonical(text)
    is_derived = self._times[field] > 0 or self._first_parts[field] < self._first_parts[field + 1]
    if value in self._null_values and not is_derived:
        return ""
    return text if self._exact[field] == 1 else value


def _is_null(self, text: str) -> bool:
    return len(self._null_values) > 0 and self._canonical(text) in self._null_values


# A text that is not one of the null values, or nothing.
def _present(self, text: str) -> str:
    return "" if self._is_null(text) else text


# The text in a list of one.
def _only(self, texts: List[str]) -> str:
    return texts[0] if len(texts) == 1 else ""


def _canonical(self, text: str) -> str:
    text = text.strip(self._spaces)
    if len(text) == 4 or len(text) == 5:
        lower = text.lower()
        if lower == "true" or lower == "false":
            return lower
    if text[max(0, len(text) - 1) :] == "0":
        integer, _, zeros = text.partition(".")
        digits = integer[1:] if integer[:1] == "-" else integer
        is_integral = len(zeros) > 0 and len(zeros.strip("0")) == 0
        if is_integral and len(digits) > 0 and len(digits.strip("0123456789")) == 0:
            if digits[0] != "0" or integer == "0":
                return integer
    return text


# The values of a JSON or Python list and whether the text is one, as in `schema/list_text.rs`.
def _bracketed(self, text: str) -> Tuple[List[str], bool]:
    values: List[str] = []
    text = text.strip(self._spaces)
    if len(text) < 2 or text[0] != "[" or text[len(text) - 1] != "]":
        return values, False
    text = text[1 : len(text) - 1].strip(self._spaces)
    while len(text) > 0:
        if text[0] == "'" or text[0] == '"':
            value, end = self._quoted(text)
            if end < 0:
                return values, False
            values.append(value)
            text = text[end:].lstrip(self._spaces)
            if text[:1] == ",":
                text = text[1:].lstrip(self._spaces)
            elif len(text) > 0 and text[0] != "'" and text[0] != '"':
                return values, False
        else:
            value, _, text = text.partition(",")
            value = value.rstrip(self._spaces)
            marks = value.find("[") + value.find("]") + value.find("'") + value.find('"')
            if len(value) == 0 or marks > -4:
                return values, False
            if value != "None" and value != "null" and value != "nan" and value != "NaN":
                values.append(value)
            text = text.lstrip(self._spaces)
    return values, True


# The string at the start of a text, and where it ends; -1 if it is malformed.
def _quoted(self, text: str) -> Tuple[str, int]:
    value, at, end = "", 1, text.find(text[0], 1)
    while end >= 0:
        slash = text.find("\\", at)
        if slash < 0 or slash > end:
            return value + text[at:end], end + 1
        value += text[at:slash]
        kind = text[slash + 1]
        at = slash + 2
        if kind == "x" or kind == "u" or kind == "U":
            character, at = self._code_point(text, at, 2 if kind == "x" else 4 if kind == "u" else 8)
        else:
            # Letters, then the characters that they stand for.
            letter = self._escapes.find(kind)
            character = self._escapes[9 + letter] if letter >= 0 and letter < 9 else ""
        if len(character) == 0:
            return value, -1
        value += character
        end = text.find(text[0], at)
    return value, -1


# The character with a hexadecimal number of this many digits in UTF-8, empty if it is malformed, and where the number ends.
def _code_point(self, text: str, at: int, digits: int) -> Tuple[str, int]:
    code = self._hexadecimal(text, at, digits)
    at += digits
    if digits == 4 and code >= 55296 and code < 56320:
        low = self._hexadecimal(text, at + 2, 4) - 56320
        if text[at : at + 2] != "\\u" or low < 0 or low >= 1024:
            return "", at
        code = 65536 + (code - 55296) * 1024 + low
        at += 6
    if code < 0 or code > 1114111 or (code >= 55296 and code < 57344):
        return "", at
    if code < 128:
        return chr(code), at
    # Characters are written byte by byte.
    last = chr(128 + code % 64)
    if code < 2048:
        return chr(192 + code // 64) + last, at
    last = chr(128 + code // 64 % 64) + last
    if code < 65536:
        return chr(224 + code // 4096) + last, at
    return chr(240 + code // 262144) + chr(128 + code // 4096 % 64) + last, at


# The number in hexadecimal digits, or -1.
def _hexadecimal(self, text: str, at: int, digits: int) -> int:
    number = 0
    if at + digits > len(text):
        return -1
    for code in self._bytes(text[at : at + digits]):
        if code >= 48 and code <= 57:
            number = number * 16 + code - 48
        elif (code >= 65 and code <= 70) or (code >= 97 and code <= 102):
            number = number * 16 + code % 32 + 9
        else:
            return -1
    return number


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
