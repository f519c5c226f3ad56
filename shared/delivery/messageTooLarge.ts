import { Failure } from '../failure/failure.ts';

/** The queue refuses this one message for its size, whatever `fits` said: send it by claim check instead. */
export class MessageTooLarge extends Failure {}
