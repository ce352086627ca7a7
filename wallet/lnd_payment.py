"""What LND's records of a payment mean: whether it arrived, never will, or may yet."""

from __future__ import annotations

from wallet import lnd_pb2 as pb
from wallet.base import PaymentOutcome, PaymentState
from wallet.lnd_rpc import Stream

_REASONS = {
    pb.FAILURE_REASON_TIMEOUT: "LND found no working route in time",
    pb.FAILURE_REASON_NO_ROUTE: "LND found no route within the fee limit",
    pb.FAILURE_REASON_ERROR: "LND met an unexpected error",
    pb.FAILURE_REASON_INCORRECT_PAYMENT_DETAILS: "the payee does not accept this payment",
    pb.FAILURE_REASON_INSUFFICIENT_BALANCE: "insufficient balance in LND's channels",
    pb.FAILURE_REASON_CANCELED: "the payment was canceled",
}


async def followed(stream: Stream[pb.Payment]) -> PaymentOutcome:
    """Follow a payment to its end; PENDING when LND ends the stream before."""
    while (payment := await stream.read()) is not None:
        told = outcome(payment)
        if told.state in (PaymentState.SETTLED, PaymentState.FAILED):
            return told
    return PaymentOutcome(PaymentState.PENDING)


def outcome(payment: pb.Payment) -> PaymentOutcome:
    """How a payment is now."""
    match payment.status:
        case pb.Payment.SUCCEEDED:
            return PaymentOutcome(PaymentState.SETTLED, fee_msat=payment.fee_msat)
        case pb.Payment.FAILED:
            reason = _REASONS.get(payment.failure_reason, "LND gave no reason")
            return failed(reason)
        case pb.Payment.IN_FLIGHT | pb.Payment.INITIATED:
            return PaymentOutcome(PaymentState.PENDING)
        case _:
            return PaymentOutcome(PaymentState.UNKNOWN)


def failed(reason: str) -> PaymentOutcome:
    """A payment that will never arrive."""
    return PaymentOutcome(PaymentState.FAILED, reason=reason)
