# Texts that fields make of columns, a part of the methods of an exported module. They are those of `schema/derived.rs`, and times
# are read as in `calendar/instant.rs`.


# The texts of a field in rows of columns.
def _texts(self, field: int, columns: Dict[str, List[str]], rows: int) -> List[str]:
    parts = self._parts[self._first_parts[field] : self._first_parts[field + 1]]
    if len(parts) == 0:
        return self._texts_of_columns(field, columns, rows)
    of_parts = [self._texts_of_columns(part, columns, rows) for part in parts]
    texts: List[str] = []
    for row in range(rows):
        values: List[str] = []
        for at, part in enumerate(parts):
            value = self._value(part, of_parts[at][row])
            if len(value) > 0:
                values.append(value.replace("\\", "\\\\").replace("&", "\\&"))
        texts.append("&".join(values) if len(values) == len(parts) else "")
    return texts


# The texts of a field that crosses no others.
def _texts_of_columns(self, field: int, columns: Dict[str, List[str]], rows: int) -> List[str]:
    texts = [""] * rows
    if self._columns[field] in columns:
        texts = columns[self._columns[field]]
    if self._times[field] == 0:
        return texts
    until = [self._until_dates[field]] * rows
    if self._until_columns[field] in columns:
        until = [self._present(text) for text in columns[self._until_columns[field]]]
    parts: List[str] = []
    for row, text in enumerate(texts):
        parts.append(self._part_of_time(field, self._present(text), until[row]))
    return parts


# The part of a time that is a field's text; empty without one.
def _part_of_time(self, field: int, text: str, until: str) -> str:
    kind, seconds = self._instant(text)
    part = self._times[field]
    if kind == 0 or (kind == 1 and part != 5):
        return ""
    if part == 6:
        kind, end = self._instant(until)
        return self._days(end - seconds) if kind == 2 else ""
    if part == 5:
        return str(seconds % 86400 // 3600)
    day = seconds // 86400
    if part == 4:
        return str((day + 3) % 7)
    year, month, day_of_month = self._civil(day)
    return str(year if part == 1 else month if part == 2 else day_of_month)


# Seconds as days, with up to five digits after the point.
def _days(self, seconds: int) -> str:
    sign = "-" if seconds < 0 else ""
    seconds = abs(seconds)
    text = sign + str(seconds // 86400)
    fraction = seconds % 86400 * 100000 // 86400
    return text + "." + str(100000 + fraction)[1:].rstrip("0") if fraction > 0 else text


# The year, the month and the day of a number of days since 1970.
def _civil(self, days: int) -> Tuple[int, int, int]:
    days += 719468
    era, day = days // 146097, days % 146097
    year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    day_of_year = day - (365 * year + year // 4 - year // 100)
    months_after_march = (5 * day_of_year + 2) // 153
    month = (months_after_march + 2) % 12 + 1
    return era * 400 + year + int(month < 3), month, day_of_year - (153 * months_after_march + 2) // 5 + 1


# Whether a text is no time (0), a time of day (1) or one with a date (2), and its whole seconds since 1970.
def _instant(self, text: str) -> Tuple[int, int]:
    text = text.strip(self._spaces)
    kind, seconds = self._iso_time(text)
    if kind > 0:
        return kind, seconds
    number = self._number(text)
    magnitude = abs(number)
    if magnitude >= 1e17:
        number = number / 1e9
    elif magnitude >= 1e14:
        number = number / 1e6
    elif magnitude >= 1e11:
        number = number / 1e3
    # False for NaN.
    if number >= -62167219200.0 and number < 253402300800.0:
        seconds = int(number)
        return 2, seconds - 1 if float(seconds) > number else seconds
    return 0, 0


# The same of a date, a time or both in ISO 8601.
def _iso_time(self, text: str) -> Tuple[int, int]:
    kind, seconds = 1, 0
    days, end = self._date(text)
    if end > 0:
        kind, seconds = 2, days * 86400
        if len(text) == end:
            return kind, seconds
        if "Tt ".find(text[end]) < 0:
            return 0, 0
        text = text[end + 1 :]
    elif text[2:3] != ":":
        return 0, 0
    of_day, end = self._time_of_day(text)
    if end < 0:
        return 0, 0
    is_offset, offset = self._offset(text[end:].lstrip(self._spaces))
    return (kind, seconds + of_day - offset) if is_offset else (0, 0)


# The days before the date at the start of a text, and where it ends; 0 without a date.
def _date(self, text: str) -> Tuple[int, int]:
    gap = int(text[4:5] == "-")
    year, month, day = self._digits(text, 0, 4), self._digits(text, 4 + gap, 2), self._digits(text, 6 + 2 * gap, 2)
    if year < 0 or month < 1 or month > 12 or day < 1 or (gap == 1 and text[7:8] != "-"):
        return 0, 0
    days_of_month = 30 + (month + month // 8) % 2
    if month == 2:
        days_of_month = 28 + int(year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))
    if day > days_of_month:
        return 0, 0
    # Years from March to February end with the leap day.
    year -= int(month < 3)
    era, year = year // 400, year % 400
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146097 + year * 365 + year // 4 - year // 100 + day_of_year - 719468, 8 + 2 * gap


# The seconds of the time of day at the start of a text, and where it ends; -1 without one.
def _time_of_day(self, text: str) -> Tuple[int, int]:
    gap = int(text[2:3] == ":")
    hour, minute, second = self._digits(text, 0, 2), self._digits(text, 2 + gap, 2), 0
    at = 4 + gap
    mark = text[at : at + 1]
    has_fraction = False
    if (gap == 1 and mark == ":") or (gap == 0 and self._digits(text, at, 1) >= 0):
        second = self._digits(text, at + gap, 2)
        at += 2 + gap
        if text[at : at + 1] == "." or text[at : at + 1] == ",":
            digits = text[at + 1 :]
            digits = digits[: len(digits) - len(digits.lstrip("0123456789"))]
            if len(digits) == 0:
                return 0, -1
            has_fraction = len(digits[:9].strip("0")) > 0
            at += 1 + len(digits)
    is_end = hour == 24 and minute == 0 and second == 0 and not has_fraction
    if hour < 0 or minute < 0 or second < 0 or minute > 59 or second > 60 or (hour > 23 and not is_end):
        return 0, -1
    return 3600 * hour + 60 * minute + second, at


# Whether a text is a zone, and the seconds by which it is ahead of UTC.
def _offset(self, text: str) -> Tuple[bool, int]:
    if text == "" or text == "UTC" or text == "GMT" or text == "Z" or text == "z":
        return True, 0
    sign, width = 1, 1
    if text.startswith(self._minus):
        sign, width = -1, len(self._minus)
    elif text[:1] == "-":
        sign = -1
    elif text[:1] != "+":
        return False, 0
    text = text[width:]
    hours, minutes = self._digits(text, 0, 2), 0
    if len(text) > 2:
        gap = int(text[2:3] == ":")
        minutes = self._digits(text, 2 + gap, 2)
        if len(text) != 4 + gap:
            return False, 0
    is_valid = hours >= 0 and hours < 24 and minutes >= 0 and minutes < 60
    return is_valid, sign * (3600 * hours + 60 * minutes)


# The number in this many digits, or -1.
def _digits(self, text: str, at: int, n: int) -> int:
    digits = text[at : at + n]
    if len(digits) < n or len(digits.strip("0123456789")) > 0:
        return -1
    return int(digits)
