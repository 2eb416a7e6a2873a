"""Why a command on orders or products can say no; `users.errors.Refused` says what they have in common."""

from collections.abc import Iterable

from users.errors import Kind, Refused


class OrderError(Refused):
    """A command on orders or products said no. A stale version is `users.errors.StaleVersion`."""


class OrderNotFound(OrderError):
    """No order has this id."""

    kind = Kind.NOT_FOUND
    code = "order_not_found"
    order_id: int

    def __init__(self, order_id: int) -> None:
        super().__init__(f"There is no order {order_id}.", order_id=order_id)


class ProductNotFound(OrderError):
    """No product has one of these codes."""

    kind = Kind.NOT_FOUND
    code = "product_not_found"
    skus: list[str]

    def __init__(self, skus: Iterable[str]) -> None:
        skus = sorted(skus)
        super().__init__(f"There is no product {', '.join(skus)}.", skus=skus)


class UnknownProducts(ProductNotFound):
    """A line of an order names a product that does not exist: the order is at fault, not its address."""

    kind = Kind.INVALID
    code = "unknown_products"
    field = "lines"


class UnknownCustomer(OrderError):
    """The order names a customer who does not exist."""

    kind = Kind.INVALID
    code = "unknown_customer"
    field = "customer_id"
    customer_id: int

    def __init__(self, customer_id: int) -> None:
        super().__init__(f"There is no customer {customer_id}.", customer_id=customer_id)


class CustomerInactive(OrderError):
    """A customer who was deactivated can't order."""

    kind = Kind.CONFLICT
    code = "customer_inactive"
    customer_id: int

    def __init__(self, customer_id: int) -> None:
        super().__init__(f"Customer {customer_id} is not active.", customer_id=customer_id)


class ExternalRefTaken(OrderError):
    """Another order goes by this name elsewhere: it was imported before."""

    kind = Kind.CONFLICT
    code = "external_ref_taken"
    field = "external_ref"
    external_ref: str

    def __init__(self, external_ref: str) -> None:
        super().__init__(f"Another order has the external_ref {external_ref}.", external_ref=external_ref)


class NotEnoughStock(OrderError):
    """Less of a product is on the shelf than an order wants, or is to be taken off."""

    kind = Kind.CONFLICT
    code = "not_enough_stock"
    sku: str
    wanted: int
    available: int

    def __init__(self, sku: str, wanted: int, available: int) -> None:
        detail = f"{wanted} of {sku} are wanted, {available} are in stock."
        super().__init__(detail, sku=sku, wanted=wanted, available=available)


class TooMuchStock(OrderError):
    """With what is to be added, more of a product would be on the shelf than can be counted."""

    kind = Kind.CONFLICT
    code = "too_much_stock"
    sku: str
    stock: int
    most: int

    def __init__(self, sku: str, stock: int, most: int) -> None:
        super().__init__(f"{stock} of {sku} are in stock; {most} can be.", sku=sku, stock=stock, most=most)


class MoveNotAllowed(OrderError):
    """An order in this state does not move to that one."""

    kind = Kind.CONFLICT
    code = "move_not_allowed"
    from_status: str
    to_status: str
    allowed: list[str]

    def __init__(self, from_status: str, to_status: str, allowed: Iterable[str]) -> None:
        allowed = list(allowed)
        detail = f"A {from_status} order can't become {to_status}; allowed: {', '.join(allowed) or 'nothing'}."
        super().__init__(detail, from_status=from_status, to_status=to_status, allowed=allowed)


class SkuTaken(OrderError):
    """Another product has this code."""

    kind = Kind.CONFLICT
    code = "sku_taken"
    field = "sku"
    sku: str

    def __init__(self, sku: str) -> None:
        super().__init__(f"Another product has the code {sku}.", sku=sku)


class EmptyOrder(OrderError):
    """An order has no lines."""

    kind = Kind.INVALID
    code = "empty_order"
    field = "lines"

    def __init__(self) -> None:
        super().__init__("An order needs a line.")


class TooManyLines(OrderError):
    """An order has more lines than one may have."""

    kind = Kind.INVALID
    code = "too_many_lines"
    field = "lines"
    found: int
    most: int

    def __init__(self, found: int, most: int) -> None:
        super().__init__(f"The order has {found} lines; {most} are allowed.", found=found, most=most)


class MixedCurrencies(OrderError):
    """The products of one order are priced in different currencies."""

    kind = Kind.INVALID
    code = "mixed_currencies"
    field = "lines"
    currencies: list[str]

    def __init__(self, currencies: Iterable[str]) -> None:
        currencies = sorted(currencies)
        super().__init__(f"One order can't mix {' and '.join(currencies)}.", currencies=currencies)


class InvalidQuantity(OrderError):
    """A quantity is not within 1 and the most allowed."""

    kind = Kind.INVALID
    code = "invalid_quantity"
    field = "quantity"
    sku: str
    quantity: int
    most: int

    def __init__(self, sku: str, quantity: int, most: int) -> None:
        detail = f"The quantity of {sku} is {quantity}; 1 to {most} are allowed."
        super().__init__(detail, sku=sku, quantity=quantity, most=most)


class InvalidPrice(OrderError):
    """A price is not within 0 and the most allowed."""

    kind = Kind.INVALID
    code = "invalid_price"
    field = "price_cents"
    price_cents: int
    most: int

    def __init__(self, price_cents: int, most: int) -> None:
        super().__init__(f"The price is {price_cents}; 0 to {most} are allowed.", price_cents=price_cents, most=most)


class InvalidStock(OrderError):
    """The stock would not lie within 0 and the most allowed."""

    kind = Kind.INVALID
    code = "invalid_stock"
    field = "stock"
    stock: int
    most: int

    def __init__(self, stock: int, most: int) -> None:
        super().__init__(f"The stock would be {stock}; 0 to {most} are allowed.", stock=stock, most=most)


class InvalidSku(OrderError):
    """The product code is empty, too long or holds control characters."""

    kind = Kind.INVALID
    code = "invalid_sku"
    field = "sku"


class InvalidProductName(OrderError):
    """The product name is empty, too long or holds control characters."""

    kind = Kind.INVALID
    code = "invalid_product_name"
    field = "name"


class InvalidCurrency(OrderError):
    """The currency is not three capital letters."""

    kind = Kind.INVALID
    code = "invalid_currency"
    field = "currency"
    currency: str

    def __init__(self, currency: str) -> None:
        super().__init__(f"A currency is three capital letters, not {currency!r}.", currency=currency)
